"""What a file should compute, and how far from it float32 may be.

The reference is the classifier in float64, with the heads' formulas in NumPy. How much error is
allowed is measured, not assumed: the same computation in plain float32 sets the scale, the worse
of two programs where there are two. One adds in pairs and the other in a row: over a thousand
numbers their errors differ by more than a factor. What a score may be off follows from what its
inputs may: it is also evaluated on inputs that are off by as much, in other directions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.decision import Decision
from edge_ood.graph.network import PREPROCESSED
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.disturbed import disturbed
from edge_ood.scores import BoundHead, Outputs

__all__ = [
    "PARITY_IMAGES",
    "Evaluator",
    "Expected",
    "Pass",
    "Reference",
    "Subject",
    "allowed_errors",
    "deviation_of",
    "largest_errors",
]

PARITY_IMAGES = 64
"""Real images that a file is compared on, unless its reference is too slow for so many."""

_OF_DEVIATION = 1e-4
"""Allowed error of logits and features, of their deviation, or `_TIMES_PLAIN` that of float32."""

_TIMES_PLAIN = 4
_MOST_OF_DEVIATION = 1e-2
"""Of the deviation, whatever float32 programs do: a kernel that is wrong is wrong by more."""

_PREPROCESS_TOLERANCE = 1e-5
_LIMITS = (_TIMES_PLAIN, 1e-5)
"""Allowed error of closed-form heads: times plain float32's, or of the scores' IQR."""

_GRADIENT_LIMITS = (2, 2e-2)
"""The same of gradient heads: two float32 programs disagree on the sign of nearly zero, and on
which of nearly equal derivatives is the largest."""

_OF_STEP = 0.2
"""Of what the step does to a score, beyond the error of a closed form: where that is less than a
share of the IQR, a step that is wrong would pass by that share."""


Pass = Callable[[NDArray[Any]], Outputs]
"""From network input (N, 3, S, S) to outputs."""


class Evaluator(Protocol):
    """The classifier without the file, in one precision, NumPy arrays in and out."""

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """Outputs of network input (N, 3, S, S)."""

    def second_pass(self, head: BoundHead, preprocess: Preprocess) -> Pass:
        """The same, with outputs that the head perturbs taken from the perturbed images.

        It may hold as much as the classifier itself: let go of it after use.
        """


@dataclass(frozen=True)
class Reference:
    """What the file is held against: the classifier in float64 and in plain float32.

    Attributes:
        float64: The exact values.
        float32: Programs that set the scale of errors, one or more.
        images: Number of real images that it is fast enough for.
        by_differences: Its gradient is the file's own, so finite differences have to check it.
        source: What evaluates it, such as `torch`.
        exact: Whether there are exact values. If not, `float64` gives those of a float32 program,
            from which the file's own are allowed to differ by what rounding makes of them; scores
            are held against the formulas on the file's own values.
        reason: Why there are none.
    """

    float64: Evaluator
    float32: Sequence[Evaluator]
    images: int = PARITY_IMAGES
    by_differences: bool = False
    source: str = ""
    exact: bool = True
    reason: str = ""


@dataclass(frozen=True)
class Subject:
    """What a file should be.

    Attributes:
        preprocess: From decoded pixels to network input.
        heads: With parameters and float64 statistics.
        decision: Thresholds and p-values.
    """

    preprocess: Preprocess
    heads: Sequence[BoundHead]
    decision: Decision


@dataclass(frozen=True)
class Expected:
    """Reference values of every checked tensor, with the error each may have per image.

    Attributes:
        values: By output or inner tensor, in the order of the pipeline, N images first.
        allowed: Largest absolute error (N,), by the same names.
        subject: What the file should be.
    """

    values: Mapping[str, NDArray[Any]]
    allowed: Mapping[str, NDArray[np.float64]]
    subject: Subject

    @classmethod
    def of(
        cls, subject: Subject, reference: Reference, batch: NDArray[np.uint8], *, real: int
    ) -> "Expected":
        """Evaluate the reference on uint8 images (N, S, S, 3), extremes after the `real` ones."""
        exact_input = subject.preprocess.normalise(batch)
        exact = reference.float64(exact_input)
        single = subject.preprocess.normalise(batch, np.float32)
        plain = [evaluator(single) for evaluator in reference.float32]
        largest = _PREPROCESS_TOLERANCE * float(np.abs(exact_input).max())
        values: dict[str, NDArray[Any]] = {PREPROCESSED: exact_input}
        allowed = {PREPROCESSED: np.full(len(batch), largest)}
        for name, value in reversed(exact.named().items()):
            values[name] = value
            error = np.max([largest_errors(p.named()[name], value) for p in plain], axis=0)
            deviation = deviation_of(value[:real])
            least = _OF_DEVIATION * deviation
            of_all = max(deviation, deviation_of(value))
            most = _MOST_OF_DEVIATION * np.repeat([deviation, of_all], [real, len(batch) - real])
            limit = allowed_errors(error, real, times=_TIMES_PLAIN, least=least)
            allowed[name] = np.minimum(limit, most) if deviation else limit
        for head in subject.heads:
            score, limit = _closed_form(head, exact, plain, real)
            if head.epsilon:
                still = score, limit
                score, error = _moved_scores(head, subject, reference, batch, (exact, plain))
                limit = _allowed_moved(score, error, real, still)
            values[head.name], allowed[head.name] = score, limit
        return cls(values, allowed, subject)


def largest_errors(found: NDArray[Any], value: NDArray[Any]) -> NDArray[np.float64]:
    """Largest absolute difference (N,) by image; numbers that are not finite in both are equal."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(found.astype(np.float64) - value)
    difference = np.where(~np.isfinite(found) & ~np.isfinite(value), 0, difference)
    largest: NDArray[np.float64] = difference.reshape(len(difference), -1).max(axis=1)
    return largest


def deviation_of(value: NDArray[Any]) -> float:
    """Standard deviation of the numbers that are finite."""
    finite = value[np.isfinite(value)]
    return float(finite.std(dtype=np.float64)) if finite.size else 0.0


def _closed_form(
    head: BoundHead, exact: Outputs, plain: Sequence[Outputs], real: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (N,) in float64 of images as they are, and the error that they may have."""
    in_float32 = _float32_head(head)
    with np.errstate(all="ignore"):  # of images that are not finite, see `largest_errors`
        score = head.score(np, exact)
        found = [largest_errors(in_float32.score(np, outputs), score) for outputs in plain]
        others = disturbed(exact, plain, real)
        found += [largest_errors(head.score(np, outputs), score) for outputs in others]
    times, spread = _LIMITS
    return score, _allowed_scores(score, np.max(found, axis=0), real, times=times, spread=spread)


def _moved_scores(
    head: BoundHead,
    subject: Subject,
    reference: Reference,
    batch: NDArray[np.uint8],
    still: tuple[Outputs, Sequence[Outputs]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (N,) in float64 of images that the head moves, and how far off float32 is.

    `still` has the outputs before the step, in float64 and of float32 programs.
    """
    preprocess, in_float32 = subject.preprocess, _float32_head(head)
    single = preprocess.normalise(batch, np.float32)
    exact = reference.float64.second_pass(head, preprocess)(preprocess.normalise(batch))
    plain = [each.second_pass(in_float32, preprocess)(single) for each in reference.float32]
    exact = still[0].moved(exact.named())
    plain = [before.moved(after.named()) for before, after in zip(still[1], plain, strict=True)]
    with np.errstate(all="ignore"):
        score = head.score(np, exact)
        found = [largest_errors(in_float32.score(np, outputs), score) for outputs in plain]
    return score, np.max(found, axis=0)


def _allowed_moved(
    score: NDArray[np.float64],
    plain_error: NDArray[np.float64],
    real: int,
    still: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Error (N,) that scores of moved images may have, given those of images as they are.

    `still` has these scores and the error that they may have.
    """
    times, spread = _GRADIENT_LIMITS
    allowed = _allowed_scores(score, plain_error, real, times=times, spread=spread)
    unmoved, limit = (array[:real] for array in still)
    effect = np.abs(score[:real] - unmoved)
    finite = effect[np.isfinite(effect)]
    most = limit + _OF_STEP * (float(finite.mean()) if finite.size else 0.0)
    float32 = allowed_errors(plain_error, real, times=times, least=0)[:real]
    allowed[:real] = np.minimum(allowed[:real], np.maximum(most, float32))
    return allowed


def _allowed_scores(
    score: NDArray[np.float64],
    plain_error: NDArray[np.float64],
    real: int,
    *,
    times: float,
    spread: float,
) -> NDArray[np.float64]:
    """As `allowed_errors`, at least `spread` of the IQR; on extremes of their scores, too."""
    finite = score[:real][np.isfinite(score[:real])]
    low, high = np.percentile(finite, [25, 75]) if finite.size else (0, 0)
    allowed = allowed_errors(plain_error, real, times=times, least=spread * float(high - low))
    allowed[real:] = np.fmax(np.abs(score[real:]) * spread, allowed[real:])
    return allowed


def allowed_errors(
    plain_error: NDArray[np.float64], real: int, *, times: float, least: float
) -> NDArray[np.float64]:
    """Error allowed per image: `times` plain float32's largest, or `least`.

    Extremes have a limit of their own: they lie far out, where float32 itself is coarse, and must
    not widen the limit of real images.
    """
    finite = np.where(np.isfinite(plain_error), plain_error, 0)
    largest = [float(part.max(initial=0)) for part in np.split(finite, [real])]
    limits = [max(times * error, least) for error in largest]
    return np.repeat(limits, [real, len(plain_error) - real])


def _float32_head(head: BoundHead) -> BoundHead:
    statistics = {name: values.astype(np.float32) for name, values in head.statistics.items()}
    return BoundHead(head.head, head.parameters, statistics)
