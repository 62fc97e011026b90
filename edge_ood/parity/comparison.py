"""A converted artefact beside its fp32 reference: what changed, and what was gained. Torch-free.

The reference is the same classifier in fp32 with the same heads, fitted and calibrated on the same
images by the same steps.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.artifact.outputs import Scores
from edge_ood.calibration.combination import COMBINED
from edge_ood.errors import ExportError
from edge_ood.files.stored import AnyImage
from edge_ood.graph.decision import read_decision
from edge_ood.runtime.scorer import Scorer

__all__ = [
    "Comparison",
    "HeadChange",
    "check_label_flips",
    "check_ranking",
    "compare",
    "rank_correlation",
]

_MANY_LABELS = 0.01
_LOW_RANK_CORRELATION = 0.95
_LEAST_RANK_CORRELATION = 0.99
"""Of scores along a gradient with those in fp32; the gate cannot see how an image was moved."""

_ROUNDS = 9
_LEAST_S = 0.03
_PAUSE_S = 0.05
"""Until the threads of the session before no longer spin on the cores."""


@dataclass(frozen=True)
class HeadChange:
    """How one head's scores and decisions changed.

    Attributes:
        head: Its name.
        rank_correlation: Spearman's, of the scores in both files, in [-1, 1].
        flips_before: Share of decisions that differ if the converted file keeps the thresholds of
            its fp32 reference: what conversion without calibration does.
        flips_after: Share of decisions that differ with its own thresholds.
    """

    head: str
    rank_correlation: float
    flips_before: float
    flips_after: float


@dataclass(frozen=True)
class Comparison:
    """What conversion did to an artefact.

    Attributes:
        images: Number of images compared.
        label_flips: Number of images whose predicted class differs.
        logits_error: Root mean square difference of the logits, of their standard deviation.
        heads: Scores and decisions, in output order.
        size_bytes: Of the file.
        float32_bytes: Of its fp32 reference.
        speed: Least time of the reference over that of the file, batch 1, images of the network's
            own size; below 1 the file is slower on this machine.
    """

    images: int
    label_flips: int
    logits_error: float
    heads: tuple[HeadChange, ...]
    size_bytes: int
    float32_bytes: int
    speed: float

    @property
    def flip_rate(self) -> float:
        """Share of images whose predicted class differs."""
        return self.label_flips / self.images

    def warnings(self, precision: str) -> list[str]:
        """What speaks against the converted file, one sentence each.

        Args:
            precision: What it was converted to.
        """
        warnings = []
        if self.speed < 1:
            warnings.append(
                f"{precision} makes this network slower on this machine: it takes "
                f"{1 / self.speed:.2f} x the time of fp32"
            )
        if self.flip_rate > _MANY_LABELS:
            warnings.append(
                f"{precision} changes the label of {self.flip_rate:.2%} of the images "
                f"({self.label_flips} of {self.images}); --max-label-flips makes that an error"
            )
        moved = [h for h in self.heads if not h.rank_correlation >= _LOW_RANK_CORRELATION]
        if moved:
            named = ", ".join(f"{h.head} ({h.rank_correlation:.2f})" for h in moved)
            warnings.append(f"{precision} ranks images otherwise than fp32 by {named}")
        return warnings

    def to_json(self) -> dict[str, Any]:
        """A document for the metadata."""
        return asdict(self)


def compare(
    path: Path, reference: Path, images: Sequence[AnyImage], *, provider: str
) -> Comparison:
    """Score the same images with both files, and time both.

    Args:
        path: A calibrated artefact.
        reference: The same in fp32, calibrated on the same images.
        images: One or more image files.
        provider: `auto`, `cpu` or `cuda`.

    Raises:
        DataError: If an image cannot be read.
    """
    converted, fp32 = (Scorer(file, provider=provider) for file in (path, reference))
    found, expected = (scorer.score_files(images) for scorer in (converted, fp32))
    unchanged = _decisions_of(reference, fp32.heads, found)
    heads = [
        HeadChange(
            head,
            rank_correlation(found.scores[head], expected.scores[head]),
            _share(unchanged[head] != expected.decisions[head]),
            _share(found.decisions[head] != expected.decisions[head]),
        )
        for head in fp32.heads
    ]
    difference = found.logits.astype(np.float64) - expected.logits
    spread = float(expected.logits.std(dtype=np.float64)) or 1.0
    return Comparison(
        images=len(images),
        label_flips=int((found.label_index != expected.label_index).sum()),
        logits_error=float(np.sqrt((difference**2).mean())) / spread,
        heads=tuple(heads),
        size_bytes=path.stat().st_size,
        float32_bytes=reference.stat().st_size,
        speed=_speed(converted, fp32),
    )


def check_label_flips(comparison: Comparison, precision: str, limit: float | None) -> None:
    """Refuse a converted file that says another class too often.

    Raises:
        ExportError: If more than this share of the labels differ; None allows any.
    """
    if limit is not None and comparison.flip_rate > limit:
        raise ExportError(
            f"{precision} changes the label of {comparison.flip_rate:.2%} of the images that were "
            f"compared ({comparison.label_flips} of {comparison.images}), allowed {limit:.2%}",
            hint="nothing was written; try another --precision, or allow more",
        )


def check_ranking(comparison: Comparison, precision: str, perturbing: Sequence[str]) -> None:
    """Refuse a converted file in which a head that follows a gradient ranks images otherwise.

    Raises:
        ExportError: If the rank correlation of one of the heads `perturbing` is below 0.99.
    """
    for head in comparison.heads:
        if head.head in perturbing and not head.rank_correlation >= _LEAST_RANK_CORRELATION:
            raise ExportError(
                f"{head.head!r} does not keep its ranking in {precision}: its rank correlation "
                f"with fp32 is {head.rank_correlation:.4f}, expected {_LEAST_RANK_CORRELATION} or "
                "more",
                hint=f"leave {head.head!r} out of --scores, or export with --precision fp32",
            )


def rank_correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Spearman's correlation of two arrays (N,), equal values sharing their mean rank.

    Returns:
        In [-1, 1]; where an array is constant it says whether both are, as 1 or 0.
    """
    ranks = [_ranks(values) for values in (first, second)]
    a, b = (rank - rank.mean() for rank in ranks)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    if not scale:
        return float(not a.any() and not b.any())
    return float(a @ b) / scale


def _decisions_of(
    reference: Path, heads: Sequence[str], found: Scores
) -> dict[str, NDArray[np.bool_]]:
    """What a file's thresholds say about scores of another; its combined score is made anew."""
    decision = read_decision(onnx.load(reference), heads)
    scores = dict(found.scores)
    if decision.combined is not None:
        scores[COMBINED] = decision.combined.combination.score(scores)
    return {head: decision.is_ood(head, scores[head], found.label_index) for head in heads}


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return ranks


def _share(differs: NDArray[np.bool_]) -> float:
    return float(differs.mean())


def _speed(converted: Scorer, fp32: Scorer) -> float:
    """How many times as fast the first is, in interleaved runs."""
    size = fp32.metadata.preprocess.resized_px
    frame = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    tasks: list[Callable[[], object]] = [
        lambda scorer=scorer: scorer.score_arrays(frame)  # type: ignore[misc]  # bound early
        for scorer in (converted, fp32)
    ]
    counts = [max(1, round(_LEAST_S / max(_seconds(task, 2), 1e-6))) for task in tasks]
    times: list[list[float]] = [[] for _ in tasks]
    for _ in range(_ROUNDS):
        for task, count, measured in zip(tasks, counts, times, strict=True):
            time.sleep(_PAUSE_S)
            measured.append(_seconds(task, count))
    # What else the machine does only ever adds time, and not to both alike.
    ours_s, theirs_s = map(min, times)
    return theirs_s / ours_s


def _seconds(task: Callable[[], object], count: int) -> float:
    """Average over `count` runs, after one that is not counted."""
    task()
    start = time.perf_counter()
    for _ in range(count):
        task()
    return (time.perf_counter() - start) / count
