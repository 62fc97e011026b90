"""`Scorer`: an artefact in onnxruntime, over arrays, files and streams of files. Torch-free."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.outputs import Row, Scores, check_labels, contract_outputs
from edge_ood.artifact.reader import read_metadata
from edge_ood.errors import ArtifactError, DataError, InputError, ShapeError, UnknownNameError
from edge_ood.files.paths import is_folder
from edge_ood.images.folders import find_images
from edge_ood.onnx_session import open_session, provider_name, read_properties, translated_errors
from edge_ood.runtime.pipeline import Batch, Schedule, run_files
from edge_ood.threads import available_cores

__all__ = ["Scorer"]

_INPUT = "images"
_BATCH = 8  # images per inference: more do not stay in a processor's caches


class Scorer:
    """A loaded artefact.

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
        ArtifactError: If the file is missing, not ours, too new or damaged.
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
        self._session = open_session(self.path, provider=provider, threads=threads)
        properties = read_properties(self._session, str(path))
        self.metadata: Metadata = read_metadata(properties, source=str(path))
        if calibrated and not self.metadata.calibration.n:
            raise ArtifactError(
                f"'{path}' was never calibrated", hint="edge-ood calibrate FILE.onnx ID_IMAGES"
            )
        self.heads = self.metadata.head_names
        self.provider = provider_name(self._session)
        self._outputs = contract_outputs(self.heads)
        self._check_contract()
        chosen = self.heads if heads is None else self._checked_heads(heads)
        if chosen != self.heads:
            self._session = self._narrowed(chosen, threads)
            self.heads, self._outputs = chosen, contract_outputs(chosen)

    def __call__(
        self,
        images: str | os.PathLike[str] | NDArray[np.uint8] | Iterable[Any],
        *,
        batch_size: int = _BATCH,
    ) -> Scores:
        """Score files, folders or decoded frames.

        Args:
            images: A path, a uint8 array (H, W, 3) or (N, H, W, 3) in RGB, or several of one
                kind; a folder stands for all image files below it, and frames may differ in size.
            batch_size: Images per inference, 1 or more.

        Returns:
            The scores, in the order of the input.

        Raises:
            DataError: If a file is no readable image (it is named), or there is none.
            InputError: If an item is neither path nor array, or both kinds are mixed.
            ShapeError: If an array has another shape or dtype.
        """
        items: list[Any] = []
        if isinstance(images, str | os.PathLike | np.ndarray):
            items.append(images)
        else:
            items.extend(images)
        if items and all(isinstance(item, np.ndarray) for item in items):
            stacks = [_checked_frames(item) for item in items]
            same_size = groupby(stacks, key=lambda stack: stack.shape[1:])
            chunks = (chunk for _, group in same_size for chunk in _chunks(group, batch_size))
            joined = (np.concatenate(c) if len(c) > 1 else c[0] for c in chunks)
            return Scores.joined([self.score_arrays(j, batch_size=batch_size) for j in joined])
        paths = [found for item in items for found in _expanded(item)]
        return self.score_files(paths, batch_size=batch_size)

    def score_arrays(self, images: NDArray[np.uint8], *, batch_size: int = _BATCH) -> Scores:
        """Score decoded RGB frames uint8 (N, H, W, 3) of any size; the graph resizes them.

        Raises:
            ShapeError: If the array has another shape or dtype.
        """
        frames = _checked_frames(images)
        starts = range(0, len(frames), _checked_size(batch_size))
        return Scores.joined([self._run(frames[start : start + batch_size]) for start in starts])

    def score_files(
        self,
        paths: Sequence[Path],
        *,
        batch_size: int = _BATCH,
        on_image: Callable[[], None] = lambda: None,
    ) -> Scores:
        """Score image files, all of which must be readable.

        Raises:
            DataError: At the first file that is no readable image, or if there is none.
        """
        if not paths:
            raise DataError("no images to score", hint="check the path")
        parts: list[Scores] = []
        hashes: list[str] = []
        with closing(self._batches(paths, batch_size, None, hashing=True)) as batches:
            for batch in batches:
                if batch.errors:
                    raise batch.errors[min(batch.errors)]
                assert batch.result is not None  # no file of the batch failed
                parts.append(batch.result)
                hashes += batch.hashes
                for _ in batch.paths:
                    on_image()
        return Scores.joined(parts, hashes)

    def stream(
        self,
        paths: Iterable[Path],
        *,
        batch_size: int = _BATCH,
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
        self, paths: Iterable[Path], batch_size: int, threads: int | None, *, hashing: bool = False
    ) -> Generator[Batch[Scores], None, None]:
        """Side by side as far as the threads of each inference leave cores for it."""
        workers = available_cores() if threads is None else threads
        if self.provider != "cpu":
            schedule = Schedule(batch_size, workers + 1, 1)  # one waits for the device
        else:
            schedule = Schedule(batch_size, workers, max(1, workers // (self.threads or workers)))
        return run_files(paths, self.metadata.preprocess, self._run, schedule, hashing=hashing)

    def _run(self, images: NDArray[np.uint8]) -> Scores:
        with translated_errors(f"'{self.path}' cannot run"):
            results = self._session.run(list(self._outputs), {_INPUT: images})
        if {len(result) for result in results} != {len(images)}:
            lengths = [len(result) for result in results]
            raise ArtifactError(
                f"'{self.path}' gave {lengths} results for {len(images)} images",
                hint="export it again",
            )
        check_labels(results[0], self.metadata.classes, self.path)
        return Scores.of_outputs(self.metadata.classes, self.heads, results)

    def _checked_heads(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """The heads in the file's order."""
        for name in wanted:
            if name not in self.heads:
                raise UnknownNameError("score of this artefact", name, self.heads)
        primary = self.metadata.primary
        if primary not in wanted:
            raise InputError(
                f"scores {', '.join(wanted)} without {primary!r}, which decides in '{self.path}'",
                hint=f"add {primary!r}",
            )
        return tuple(name for name in self.heads if name in wanted)

    def _narrowed(self, heads: Sequence[str], threads: int | None) -> Any:
        """A session that computes only these heads: onnxruntime runs the whole of any graph."""
        # Needed to rewrite a graph, not to score with it: both import onnx.
        from edge_ood.graph.decision import keep_heads  # noqa: PLC0415
        from edge_ood.graph.loading import load_model_file  # noqa: PLC0415

        model = load_model_file(self.path)
        kept = keep_heads(model, self.heads, heads, primary=self.metadata.primary)
        return open_session(kept.SerializeToString(), provider=self.provider, threads=threads)

    def _check_contract(self) -> None:
        with translated_errors(f"'{self.path}' is damaged"):
            inputs = {value.name: value.type for value in self._session.get_inputs()}
            outputs = {value.name: value.type for value in self._session.get_outputs()}
            shapes = {value.name: value.shape for value in self._session.get_outputs()}
        if inputs != {_INPUT: "tensor(uint8)"}:
            raise self._broken_contract(f"inputs {inputs}, expected '{_INPUT}' of uint8 alone")
        if list(outputs.items()) != list(self._outputs.items()):
            raise self._broken_contract(f"outputs {outputs}, its metadata promises {self._outputs}")
        if any(len(shape) != 1 + (name == "logits") for name, shape in shapes.items()):
            raise self._broken_contract(f"outputs of shape {shapes}, expected one row per image")
        if shapes["logits"][1] != len(self.metadata.classes):
            named = len(self.metadata.classes)
            raise self._broken_contract(f"{shapes['logits'][1]} logits for {named} class names")

    def _broken_contract(self, what: str) -> ArtifactError:
        return ArtifactError(f"'{self.path}' has {what}", hint="export it again")


def _checked_frames(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The array as (N, H, W, 3)."""
    frames = images[None] if images.ndim == 3 else images
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ShapeError(
            f"images are {images.dtype} {images.shape}, expected uint8 (N, H, W, 3), RGB",
            hint="convert to 8-bit RGB, channels last; no side may be 0",
        )
    return frames


def _expanded(item: Any) -> list[Path]:
    if not isinstance(item, str | os.PathLike):
        raise InputError(
            f"cannot score a {type(item).__name__}, expected paths or uint8 arrays, not mixed",
            hint="numpy.asarray(image.convert('RGB')) makes an array of a Pillow image",
        )
    path = Path(item)
    return find_images(path) if is_folder(path) else [path]


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, _checked_size(size))):
        yield chunk


def _checked_size(batch_size: int) -> int:
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}, expected 1 or more")
    return batch_size
