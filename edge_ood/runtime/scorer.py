"""`Scorer`: an artefact in onnxruntime, over arrays, files and streams of files. Torch-free."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.model_file import ModelFile
from edge_ood.artifact.outputs import Row, Scores
from edge_ood.errors import ArtifactError, DataError, InputError
from edge_ood.files.paths import is_folder
from edge_ood.files.stored import AnyImage, StoredImage
from edge_ood.images.folders import find_images
from edge_ood.images.frames import frames_of, is_picture
from edge_ood.runtime.artifact_session import ArtifactSession
from edge_ood.runtime.pipeline import FileBatch, Schedule, check_batch_size, run_files
from edge_ood.threads import available_cores, batched, slices

__all__ = ["BATCH", "Scorer"]

BATCH = 8
"""Images per inference: more do not stay in a processor's caches."""


class Scorer:
    """A loaded artefact; pickled, it opens its file again.

        scorer = Scorer("exported/oe.onnx")
        result = scorer(["a.jpg", "b.png"])
        print(result.label, result.is_ood, result.pvalue)

    Args:
        path: The artefact.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        threads: Threads of one inference; None lets onnxruntime decide, which answers a single
            frame soonest. Many files are fastest with 1: then inferences run side by side.
        calibrated: Refuse a file that has no thresholds yet.
        heads: Names of the score heads to compute, the one that decides among them; None for all.
            Leaving out heads that perturb saves their gradient and second pass.

    Raises:
        ArtifactError: If the file is missing, no artefact, too new or damaged.
        InputError: If the provider cannot be had, or the deciding head is left out.
        MissingDependencyError: If no onnxruntime is installed.
        UnknownNameError: If the artefact has no such head.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        provider: str = "auto",
        threads: int | None = None,
        calibrated: bool = True,
        heads: Sequence[str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.threads = threads
        self._options: dict[str, Any] = {
            "provider": provider,
            "threads": threads,
            "calibrated": calibrated,
            "heads": None if heads is None else tuple(heads),
        }
        self._artifact = ArtifactSession(self.path, provider=provider, threads=threads)
        if calibrated and not self.metadata.calibration.n:
            raise ArtifactError(
                f"'{path}' was never calibrated", hint="edge-ood calibrate FILE.onnx ID_IMAGES"
            )
        if heads is not None:
            self._artifact.narrow(heads)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what opens the file again, wherever that is then."""
        return partial(Scorer, **self._options), (str(self.path),)

    @property
    def metadata(self) -> Metadata:
        """What the artefact says about itself."""
        return self._artifact.metadata

    @property
    def file(self) -> ModelFile:
        """The file as it was opened, with its hash."""
        return self._artifact.file

    @property
    def provider(self) -> str:
        """Where inference runs, such as `cpu`."""
        return self._artifact.provider

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the scores that are computed, in the order of their outputs."""
        return self._artifact.heads

    def __call__(
        self,
        images: str | os.PathLike[str] | NDArray[Any] | Image.Image | Iterable[Any],
        *,
        batch_size: int = BATCH,
    ) -> Scores:
        """Score files, folders or decoded frames.

        Args:
            images: A path, a Pillow image of any mode, an RGB array (H, W, 3) or (N, H, W, 3), or
                a tensor in memory, which may also be (3, H, W) or (N, 3, H, W), of uint8 or of
                floats in [0, 1]; or several of these. A folder stands for all image files below
                it; sizes and kinds of pictures may differ, but paths and pictures are not mixed.
            batch_size: Images per inference, 1 or more.

        Returns:
            The scores, in the order of the input. They hold on to pictures for `show`, which
            share the memory of uint8 ones; `score_arrays` keeps none.

        Raises:
            DataError: If a file is no readable image (it is named), or there is none.
            InputError: If an item is neither path nor picture, both are mixed, or floats are
                beyond [0, 1].
            ShapeError: If an array has another shape or dtype.
        """
        items = _items(images)
        if items and all(map(is_picture, items)):
            return self._score_pictures(items, batch_size)
        paths = [found for item in items for found in _expanded(item)]
        return self.score_files(paths, batch_size=batch_size)

    def _score_pictures(self, pictures: Iterable[Any], batch_size: int) -> Scores:
        """Stacks of one size that follow each other are joined up to a batch."""
        check_batch_size(batch_size)
        stacks = [frames_of(picture) for picture in pictures]
        same_size = groupby(stacks, key=lambda stack: stack.shape[1:])
        chunks = (chunk for _, group in same_size for chunk in batched(group, batch_size))
        joined = (np.concatenate(c) if len(c) > 1 else c[0] for c in chunks)
        parts = [self.score_arrays(stack, batch_size=batch_size) for stack in joined]
        return Scores.joined(parts, images=chain.from_iterable(stacks))

    def score_arrays(self, images: NDArray[Any], *, batch_size: int = BATCH) -> Scores:
        """Score decoded RGB frames (N, H, W, 3) of any size; the graph resizes them.

        Args:
            images: Of uint8, or of floats in [0, 1].
            batch_size: Images per inference, 1 or more.

        Raises:
            InputError: If floats are beyond [0, 1].
            ShapeError: If the array has another shape or dtype.
        """
        check_batch_size(batch_size)
        frames = frames_of(images)
        return Scores.joined(
            [self._artifact.run(frames[part]) for part in slices(len(frames), batch_size)]
        )

    def score_files(
        self,
        paths: Iterable[AnyImage],
        *,
        batch_size: int = BATCH,
        on_image: Callable[[], None] = lambda: None,
    ) -> Scores:
        """Score image files, all of which must be readable.

        Args:
            paths: Files, read a bounded number ahead; only names of stored images are kept.
            batch_size: Images per inference, 1 or more.
            on_image: Called after each image.

        Raises:
            DataError: At the first file that is no readable image, or if there is none.
        """
        read: list[AnyImage] = []
        parts: list[Scores] = []
        hashes: list[str] = []
        with closing(self._batches(paths, batch_size, None, hashing=True)) as batches:
            for batch in batches:
                if batch.errors:
                    raise batch.errors[min(batch.errors)]
                assert batch.result is not None  # no file of the batch failed
                parts.append(batch.result)
                hashes += batch.hashes
                for path in batch.paths:
                    read.append(path.name_alone() if isinstance(path, StoredImage) else path)
                    on_image()
        if not read:
            raise DataError("no images to score", hint="check the path")
        return replace(Scores.joined(parts, hashes), paths=tuple(read))

    def stream(
        self,
        paths: Iterable[AnyImage],
        *,
        batch_size: int = BATCH,
        threads: int | None = None,
        on_batch: Callable[[float], None] = lambda _: None,
    ) -> Generator[Row, None, None]:
        """One row per file, in order, whatever is in it; memory does not grow with the number.

        Args:
            paths: Files, read a bounded number ahead.
            batch_size: Consecutive files per inference, 1 or more. The last bits of a score may
                depend on how many images its batch has.
            threads: Threads that decode and run the network; None for one per core.
            on_batch: Called with the seconds that each batch took, from file to result, if any
                image of it could be read.

        Raises:
            InputError: If a number is less than 1.
        """
        for batch in self._batches(paths, batch_size, threads):
            if batch.result is not None:
                on_batch(batch.seconds)
            scored = iter(batch.result.rows(batch.readable) if batch.result else ())
            for position, path in enumerate(batch.paths):
                error = batch.errors.get(position)
                yield Row(path, error.status, str(error), {}) if error else next(scored)

    def _batches(
        self,
        paths: Iterable[AnyImage],
        batch_size: int,
        threads: int | None,
        *,
        hashing: bool = False,
    ) -> Generator[FileBatch[Scores], None, None]:
        """Side by side as far as the threads of each inference leave cores for it."""
        workers = available_cores() if threads is None else threads
        if self.provider != "cpu":
            schedule = Schedule(batch_size, workers + 1, 1)  # one waits for the device
        else:
            schedule = Schedule(batch_size, workers, max(1, workers // (self.threads or workers)))
        run = self._artifact.run
        return run_files(paths, self.metadata.preprocess, run, schedule, hashing=hashing)


def _items(images: Any) -> list[Any]:
    """One thing or several, as a list."""
    if getattr(images, "ndim", 0) == 1:  # a column of a data frame, an array of paths
        return list(images)
    if isinstance(images, str | os.PathLike) or is_picture(images):
        return [images]
    if isinstance(images, bytes | bytearray | Mapping) or not isinstance(images, Iterable):
        raise _unusable(images)
    return list(images)


def _expanded(item: Any) -> list[Path]:
    if not isinstance(item, str | os.PathLike):
        raise _unusable(item)
    path = Path(item)
    return find_images(path) if is_folder(path) else [path]


def _unusable(item: Any) -> InputError:
    return InputError(
        f"cannot score a {type(item).__name__}, expected paths, or arrays and Pillow images, "
        "not mixed",
        hint="PIL.Image.open(path) makes a Pillow image of a file",
    )
