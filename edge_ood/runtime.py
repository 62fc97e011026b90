"""`Scorer`: an artefact in onnxruntime, over arrays, files and streams of files. Torch-free."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact import Metadata, read_metadata
from edge_ood.errors import ArtifactError, DataError, InputError, ShapeError
from edge_ood.images import DecodedImage, decode_stream, find_images
from edge_ood.session import open_session, provider_name, translated_errors

__all__ = ["Row", "Scorer", "Scores", "columns"]

_INPUT = "images"


@dataclass(frozen=True)
class Scores:
    """What the artefact says about N images.

    Attributes:
        classes: K class names.
        label_index: int64 (N,), the predicted class.
        is_ood: bool (N,), the decision of the primary head.
        pvalue: float32 (N,), of the primary head, in (0, 1]; compare with an alpha of your own
            in float32.
        logits: float32 (N, K).
        scores: float32 (N,) by head; larger is more out-of-distribution.
        pvalues: float32 (N,) by head.
        decisions: bool (N,) by head.
        hashes: Content hashes of the N files; empty for arrays.
    """

    classes: tuple[str, ...]
    label_index: NDArray[np.int64]
    is_ood: NDArray[np.bool_]
    pvalue: NDArray[np.float32]
    logits: NDArray[np.float32]
    scores: Mapping[str, NDArray[np.float32]]
    pvalues: Mapping[str, NDArray[np.float32]]
    decisions: Mapping[str, NDArray[np.bool_]]
    hashes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.label_index)

    @property
    def label(self) -> list[str]:
        """Predicted class names."""
        return [self.classes[i] for i in self.label_index]


@dataclass(frozen=True)
class Row:
    """One input file's line in a score table.

    Attributes:
        path: The file.
        status: `ok`, `not-finite`, or why there is no score: `unreadable`, `not-an-image`,
            `too-large`.
        error: What was wrong; empty when nothing was.
        values: The other columns, empty when there is no score.
    """

    path: Path
    status: str
    error: str
    values: Mapping[str, Any]


class Scorer:
    """A loaded artefact.

        scorer = Scorer("exported/oe.onnx")
        result = scorer(["a.jpg", "b.png"])
        print(result.label, result.is_ood, result.pvalue)

    Args:
        path: The artefact.
        provider: `auto`, `cpu` or `cuda`.
        threads: Inference threads; None lets onnxruntime decide.
        calibrated: Refuse a file that has no thresholds yet.

    Raises:
        ArtifactError: If the file is missing, not ours, too new or damaged.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        provider: str = "auto",
        threads: int | None = None,
        calibrated: bool = True,
    ) -> None:
        self.path = Path(path)
        self._session = open_session(self.path, provider=provider, threads=threads)
        properties = self._session.get_modelmeta().custom_metadata_map
        self.metadata: Metadata = read_metadata(properties, source=str(path))
        if calibrated and not self.metadata.calibration.n:
            raise ArtifactError(
                f"'{path}' was never calibrated", hint="edge-ood calibrate FILE.onnx ID_IMAGES"
            )
        self.heads = self.metadata.head_names
        self.provider = provider_name(self._session)
        self._outputs = _contract_outputs(self.heads)
        self._check_contract()

    def __call__(
        self, images: Path | str | NDArray[np.uint8] | Sequence[Any], *, batch_size: int = 32
    ) -> Scores:
        """Score files, folders or decoded frames.

        Args:
            images: A path, a uint8 array (H, W, 3) or (N, H, W, 3) in RGB, or a sequence of
                either; a folder stands for all image files below it.
            batch_size: Images per inference.

        Returns:
            The scores, in the order of the input.

        Raises:
            DataError: If a file is no readable image; it is named.
            ShapeError: If an array has another shape or dtype.
        """
        items = [images] if isinstance(images, str | Path | np.ndarray) else list(images)
        if items and all(isinstance(item, np.ndarray) for item in items):
            frames = [item[None] if item.ndim == 3 else item for item in items]
            return _joined([self.score_arrays(f, batch_size=batch_size) for f in frames])
        paths = [found for item in items for found in _expanded(Path(item))]
        return self.score_files(paths, batch_size=batch_size)

    def score_arrays(self, images: NDArray[np.uint8], *, batch_size: int = 32) -> Scores:
        """Score decoded RGB frames uint8 (N, H, W, 3) of any size; the graph resizes them.

        Raises:
            ShapeError: If the array has another shape or dtype.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or not images.size:
            raise ShapeError(
                f"images are {images.dtype} {images.shape}, expected uint8 (N, H, W, 3), RGB"
            )
        starts = range(0, len(images), batch_size)
        return _joined([self._run(images[start : start + batch_size]) for start in starts])

    def score_files(
        self,
        paths: Sequence[Path],
        *,
        batch_size: int = 32,
        on_image: Callable[[], None] = lambda: None,
    ) -> Scores:
        """Score image files, all of which must be readable.

        Raises:
            DataError: At the first file that is no readable image, or if there is none.
        """
        if not paths:
            raise DataError("no images to score", hint="check the path")
        parts, hashes = [], []
        for chunk in _chunks(decode_stream(paths, self.metadata.preprocess), batch_size):
            for item in chunk:
                if isinstance(item, DataError):
                    raise item
                hashes.append(item.content_hash)
                on_image()
            parts.append(self._run(_stacked(chunk)))
        return _joined(parts, hashes)

    def stream(
        self, paths: Iterable[Path], *, batch_size: int = 32, threads: int | None = None
    ) -> Iterator[Row]:
        """One row per file, in order, whatever is in it; memory does not grow with the number."""
        pairs = _paired(paths, self.metadata.preprocess, threads)
        for chunk in _chunks(pairs, batch_size):
            decoded = [item for _, item in chunk if isinstance(item, DecodedImage)]
            rows = iter(self._rows(self._run(_stacked(decoded))) if decoded else ())
            for path, item in chunk:
                if isinstance(item, DataError):
                    yield Row(path, item.status, str(item), {})
                else:
                    status, values = next(rows)
                    error = "" if status == "ok" else "a score or logit is not a finite number"
                    yield Row(path, status, error, values)

    def _rows(self, scores: Scores) -> Iterator[tuple[str, dict[str, Any]]]:
        finite = np.isfinite(scores.logits).all(axis=1)
        for head in self.heads:
            finite &= np.isfinite(scores.scores[head])
        for i in range(len(scores)):
            values: dict[str, Any] = {
                "label": scores.classes[scores.label_index[i]],
                "label_index": int(scores.label_index[i]),
                "is_ood": bool(scores.is_ood[i]),
                "pvalue": scores.pvalue[i],
            }
            for head in self.heads:
                values[head] = scores.scores[head][i]
                values[f"{head}_pvalue"] = scores.pvalues[head][i]
                values[f"{head}_is_ood"] = bool(scores.decisions[head][i])
            yield ("ok" if finite[i] else "not-finite"), values

    def _run(self, images: NDArray[np.uint8]) -> Scores:
        with translated_errors(f"'{self.path}' cannot run"):
            results = self._session.run(self._outputs, {_INPUT: images})
        label, is_ood, pvalue, logits, *rest = results
        by_head = {head: rest[3 * i : 3 * i + 3] for i, head in enumerate(self.heads)}
        return Scores(
            classes=self.metadata.classes,
            label_index=label,
            is_ood=is_ood,
            pvalue=pvalue,
            logits=logits,
            scores={head: part[0] for head, part in by_head.items()},
            pvalues={head: part[1] for head, part in by_head.items()},
            decisions={head: part[2] for head, part in by_head.items()},
        )

    def _check_contract(self) -> None:
        present = [output.name for output in self._session.get_outputs()]
        inputs = [(i.name, i.type) for i in self._session.get_inputs()]
        if present != self._outputs or inputs != [(_INPUT, "tensor(uint8)")]:
            raise ArtifactError(
                f"'{self.path}' has outputs {present}, its metadata promises {self._outputs}",
                hint="export it again",
            )
        width = self._session.get_outputs()[present.index("logits")].shape[-1]
        if width != len(self.metadata.classes):
            named = len(self.metadata.classes)
            raise ArtifactError(
                f"'{self.path}' has {width} logits for {named} class names", hint="export it again"
            )


def columns(heads: Sequence[str]) -> list[str]:
    """Names and order of a score table's columns, a public contract."""
    return [
        "path",
        "status",
        "error",
        "label",
        "label_index",
        *_contract_outputs(heads, table=True),
    ]


def _contract_outputs(heads: Sequence[str], *, table: bool = False) -> list[str]:
    common = ["is_ood", "pvalue"] if table else ["label", "is_ood", "pvalue", "logits"]
    return common + [name for h in heads for name in (h, f"{h}_pvalue", f"{h}_is_ood")]


def _expanded(path: Path) -> list[Path]:
    return find_images(path) if path.is_dir() else [path]


def _paired(
    paths: Iterable[Path], preprocess: Any, threads: int | None
) -> Iterator[tuple[Path, DecodedImage | DataError]]:
    """Each path with what came of it; the paths are read once, a bounded number ahead."""
    waiting: list[Path] = []

    def remembered() -> Iterator[Path]:
        for path in paths:
            waiting.append(path)
            yield path

    for item in decode_stream(remembered(), preprocess, threads=threads):
        yield waiting.pop(0), item


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    if size < 1:
        raise InputError(f"batch size {size}, expected 1 or more")
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _stacked(decoded: Sequence[DecodedImage]) -> NDArray[np.uint8]:
    return np.stack([item.pixels for item in decoded])


def _joined(parts: Sequence[Scores], hashes: Sequence[str] = ()) -> Scores:
    if len(parts) == 1 and not hashes:
        return parts[0]

    def join(pick: Callable[[Scores], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([pick(part) for part in parts])

    heads = parts[0].scores
    return Scores(
        classes=parts[0].classes,
        label_index=join(lambda p: p.label_index),
        is_ood=join(lambda p: p.is_ood),
        pvalue=join(lambda p: p.pvalue),
        logits=join(lambda p: p.logits),
        scores={h: join(lambda p, h=h: p.scores[h]) for h in heads},
        pvalues={h: join(lambda p, h=h: p.pvalues[h]) for h in heads},
        decisions={h: join(lambda p, h=h: p.decisions[h]) for h in heads},
        hashes=tuple(hashes),
    )
