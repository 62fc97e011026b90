"""The temperature of class probabilities: asked for, or chosen on images that were held back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge_ood.attachment.reader import reader_of
from edge_ood.attachment.request import Request
from edge_ood.attachment.step_images import probability_images
from edge_ood.calibration.temperature import Tempered, fit_temperature, measure_temperature
from edge_ood.errors import MissingDependencyError
from edge_ood.images.reading import with_hashes
from edge_ood.registry import Spec
from edge_ood.scores import BoundHead
from edge_ood.threads import Meter

__all__ = ["AS_IT_IS", "Probabilities", "choose_temperature"]

_MOST_IMAGES = 10_000


@dataclass(frozen=True)
class Probabilities:
    """The temperature, and where it is from.

    Attributes:
        temperature: The class probabilities are `softmax(logits / temperature)`.
        chosen_on: `validation` images, `calibration` images that set no threshold, or empty.
        hashes: Content hashes of those images.
        record: For the metadata.
    """

    temperature: float
    chosen_on: str = ""
    hashes: tuple[str, ...] = ()
    record: Mapping[str, Any] | None = None

    def of_heads(
        self, heads: Sequence[BoundHead], asked_for: Sequence[Spec]
    ) -> tuple[BoundHead, ...]:
        """The heads, those that are probabilities at this temperature, unless a user gave theirs.

        Args:
            heads: As many as were asked for, in that order.
            asked_for: Their names, with the parameters that were given.
        """
        pairs = zip(heads, asked_for, strict=True)
        return tuple(head.with_temperature(self.temperature, spec) for head, spec in pairs)


AS_IT_IS = Probabilities(1.0)
"""What nothing was chosen for."""


def choose_temperature(
    request: Request,
    heads: Sequence[BoundHead],
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Probabilities:
    """The temperature that was asked for, or the one that labelled images tell.

    Those images neither trained the classifier nor set a threshold; without any the temperature
    is 1, and so it is without SciPy. A choice says what it does to the calibration error of the
    images that it is from, which flatters it a little.

    Args:
        request: Its classifier, as it ships, gives the logits.
        heads: Fitted.
        on_progress: Called with how many images were read, and of how many.

    Raises:
        CalibrationError: If a logit is not finite.
        DataError: If an image cannot be read.
    """
    asked_for = request.options.temperature
    if asked_for is not None:
        return Probabilities(asked_for, record={"chosen_on": "", "asked_for": True})
    role, found = probability_images(request, heads)
    if not role:
        return Probabilities(1.0, record={"chosen_on": "", "asked_for": False})
    every = -(-len(found) // _MOST_IMAGES)
    images = with_hashes(found.subset(np.arange(0, len(found), every)))
    meter = Meter(len(images), on_progress)
    answers = reader_of(request).outputs(images, meter.advance)
    batches = [(np.asarray(outputs.logits), labels) for outputs, labels in answers]
    logits, labels = map(np.concatenate, zip(*batches, strict=True))
    try:
        chosen = fit_temperature(logits, labels)
    except MissingDependencyError as error:
        chosen = measure_temperature(logits, labels, 1.0, why=f"{error}: {error.hint}")
    return Probabilities(chosen.temperature, role, images.hashes, _record(role, chosen))


def _record(role: str, chosen: Tempered) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(chosen).items() if name != "temperature"}
    return {"chosen_on": role, "asked_for": False, **fields}
