"""What a classifier says about images through onnxruntime, here or on a worker elsewhere."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.attachment.request import Request
from edge_ood.graph.assemble import assemble_reader
from edge_ood.graph.network import moved_output
from edge_ood.graph.roundoff import feature_roundoff
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_each
from edge_ood.onnx_session import open_session
from edge_ood.scores import Accumulator, BoundHead, Outputs
from edge_ood.threads import image_batch, slices

__all__ = ["FedShare", "Reader", "feed", "reader_of"]

Answers = Iterator[tuple[Outputs, NDArray[np.int64]]]


@dataclass(frozen=True)
class Reader:
    """A classifier from images to its own outputs, which can be sent to another process.

    Attributes:
        model: A graph as `assemble_reader` makes it, serialised.
        preprocess: What is done before.
        provider: onnxruntime's.
        roundoff: As `Outputs` has it.
        moving: The head whose moved images are looked at, too; empty for none.
    """

    model: bytes
    preprocess: Preprocess
    provider: str
    roundoff: float
    moving: str = ""

    def outputs(
        self,
        images: ImageSet,
        on_images: Callable[[int], None] = lambda count: None,
        *,
        threads: int | None = None,
    ) -> Answers:
        """Batch by batch, with labels.

        Args:
            images: Labelled.
            on_images: Called after each batch with the number of images in it.
            threads: Of inference.

        Raises:
            DataError: If an image cannot be read.
        """
        session = open_session(self.model, provider=self.provider, threads=threads)
        names = [output.name for output in session.get_outputs()]
        assert images.labels is not None  # training images are labelled, others were checked
        decoded = decode_each(images.paths, self.preprocess)
        for part in slices(len(images), self.batch_size):
            labels = images.labels[part]
            batch = np.stack([next(decoded).pixels for _ in labels])
            arrays = dict(zip(names, session.run(names, {INPUT_NAME: batch}), strict=True))
            outputs = replace(Outputs.from_named(arrays), roundoff=self.roundoff)
            if self.moving:
                again = {name: moved_output(self.moving, name) for name in outputs.named()}
                outputs = outputs.moved({n: arrays[m] for n, m in again.items() if m in arrays})
            yield outputs, labels
            on_images(len(labels))

    @property
    def batch_size(self) -> int:
        """Images per inference."""
        return image_batch(self.preprocess.size_px)


@dataclass(frozen=True)
class FedShare:
    """One worker's share of what accumulators are to see: every so many-th batch.

    Attributes:
        reader: The classifier.
        folder: The driver's, so that images are found by the names that it has for them.
        images: All images.
        accumulators: That have seen nothing yet.
        threads: Of inference.
    """

    reader: Reader
    folder: str
    images: ImageSet
    accumulators: tuple[Accumulator, ...]
    threads: int

    def __call__(self, index: int, count: int) -> tuple[Accumulator, ...]:
        """The accumulators, which have seen a share."""
        os.chdir(self.folder)
        batch = np.arange(len(self.images)) // self.reader.batch_size
        share = self.images.subset(batch % count == index)
        feed(self.reader.outputs(share, threads=self.threads), self.accumulators)
        return self.accumulators


def reader_of(request: Request, moving: BoundHead | None = None) -> Reader:
    """The classifier of a request, as it ships.

    Args:
        request: What is attached to which classifier.
        moving: A head, for what is said of the images that it moves, too.
    """
    model = assemble_reader(request.classifier, request.preprocess, moving)
    return Reader(
        model.SerializeToString(),
        request.preprocess,
        request.options.provider,
        feature_roundoff(request.classifier),
        moving.name if moving else "",
    )


def feed(
    answers: Iterable[tuple[Outputs, NDArray[np.int64]]], accumulators: Sequence[Accumulator]
) -> None:
    """Let accumulators see what a classifier says."""
    for outputs, labels in answers:
        for accumulator in accumulators:
            accumulator.update(outputs, labels)
