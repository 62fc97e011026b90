"""What each run of a file is held against: its reference, or the file's own classifier."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.limits import Evaluator, Expected, Pass, Reference, Subject
from edge_ood.parity.recorded import own_outputs
from edge_ood.parity.rounded import rounded_limits
from edge_ood.scores import BoundHead, Outputs
from edge_ood.threads import slices

__all__ = ["Watched", "Yardstick"]

_WATCHED_IMAGES = 4


class Yardstick:
    """Expected values for the first so many of the images that a file is compared on.

    Args:
        subject: What the file should be.
        reference: None where its classifier is taken at its word.
        batch: uint8 images (N, S, S, 3), extremes after the `real` ones.
        real: Their number.
    """

    def __init__(
        self, subject: Subject, reference: Reference | None, batch: NDArray[np.uint8], real: int
    ) -> None:
        self._subject, self._batch, self._real = subject, batch, real
        self._exact: Expected | None = None
        self._own_run: Outputs | None = None
        self._rounded: Mapping[str, NDArray[np.float64]] = {}
        if reference is not None and reference.exact:
            self._exact = Expected.of(subject, reference, batch, real=real)
        elif reference is not None:
            single = subject.preprocess.normalise(batch, np.float32)
            self._own_run = reference.float64(single)
            others = [evaluator(single) for evaluator in reference.float32]
            self._rounded = rounded_limits(self._own_run, others, real)

    @property
    def is_exact(self) -> bool:
        """Whether there are exact values, of labels too."""
        return self._exact is not None

    def expected(self, found: Mapping[str, NDArray[Any]]) -> Expected:
        """What should have been found on the first n images, (n, ...) by output or inner tensor.

        Where there are no exact values, scores are the formulas on what was found, and what the
        classifier itself says is held against a run of it, if there is one.
        """
        count = len(found["label"])
        if self._exact is not None:
            return _first(self._exact, count)
        real = min(self._real, count)
        own = own_outputs(found, self._subject.heads)
        expected = Expected.of(self._subject, own, self._batch[:count], real=real)
        said = own.float64(self._batch).named()
        values = {name: v for name, v in expected.values.items() if name not in said}
        allowed = dict(expected.allowed)
        if self._own_run is not None:
            allowed |= self._rounded
            values |= self._own_run.named()
        return _first(replace(expected, values=values, allowed=allowed), count)


@dataclass(frozen=True)
class Watched:
    """An evaluator that says how far it is.

    Attributes:
        evaluator: Does the work.
        on_images: Called with how many images were evaluated since the last call.
    """

    evaluator: Evaluator
    on_images: Callable[[int], None]

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """As the evaluator."""
        return self._in_parts(self.evaluator, images)

    def second_pass(self, head: BoundHead, preprocess: Preprocess) -> Pass:
        """As the evaluator."""
        again = self.evaluator.second_pass(head, preprocess)
        return lambda images: self._in_parts(again, images)

    def _in_parts(self, evaluate: Pass, images: NDArray[Any]) -> Outputs:
        parts = []
        for part in slices(len(images), _WATCHED_IMAGES):
            parts.append(evaluate(images[part]).named())
            self.on_images(len(images[part]))
        return Outputs.from_named(
            {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        )


def _first(expected: Expected, count: int) -> Expected:
    return replace(
        expected,
        values={name: value[:count] for name, value in expected.values.items()},
        allowed={name: limit[:count] for name, limit in expected.allowed.items()},
    )
