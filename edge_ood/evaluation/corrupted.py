"""ID images after a corruption, and how an artefact does on them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_ood.corruptions import CORRUPTIONS, STRENGTHS, Corruption
from edge_ood.errors import InputError
from edge_ood.evaluation.measure import true_labels
from edge_ood.evaluation.results import CorruptedResult, CorruptionResult
from edge_ood.evaluation.scored import Scored, score
from edge_ood.evaluation.synthetic_images import SyntheticImages, bind_sampled
from edge_ood.images.folders import ImageSet
from edge_ood.metrics import classification, detection
from edge_ood.registry import Spec, parse_specs
from edge_ood.runtime.scorer import Scorer

__all__ = ["CorruptedSet", "measure_corruption", "parse_corruptions"]

_EVERY = "all"


@dataclass(frozen=True)
class CorruptedSet:
    """ID images under one corruption.

    Attributes:
        corruption: Which.
        count: How many of them; None for all, and at most `synthetic_images.MOST_IMAGES`.
        seed: Of what is random, and of the choice of images.
    """

    corruption: Corruption
    count: int | None = None
    seed: int = 0

    def images(self, scorer: Scorer, id_images: ImageSet, strength: int) -> SyntheticImages:
        """The images at one strength, at the size of an artefact's input.

        All corruptions and strengths of one seed take the same ID images, `origins`, with the
        same draws where they draw anything.

        Args:
            scorer: The artefact.
            id_images: The ID images.
            strength: 1 to 5.

        Raises:
            InputError: If there are fewer ID images than were asked for.
        """
        preprocess = scorer.metadata.preprocess
        constant = self.corruption.constant(strength, preprocess.resized_px)
        corrupt = partial(_corrupted, self.corruption, constant)
        return SyntheticImages(
            self.corruption.name, corrupt, 1, id_images, preprocess, self.count, self.seed
        )


def parse_corruptions(text: str) -> tuple[CorruptedSet, ...]:
    """Corruptions from `blur,noise:count=500`; `all` stands for every one.

    Raises:
        UnknownNameError: If there is no such corruption or parameter.
        InputError: If the text cannot be read, or one is given twice.
    """
    found: dict[str, CorruptedSet] = {}
    for spec in parse_specs(text):
        for name in CORRUPTIONS.names() if spec.name == _EVERY else [spec.name]:
            corrupted = _bound(Spec(name, spec.parameters))
            if corrupted.corruption.name in found:
                raise InputError(f"corruption {name!r} is given twice in {text!r}")
            found[corrupted.corruption.name] = corrupted
    return tuple(found.values())


def measure_corruption(
    corrupted: CorruptedSet,
    scorer: Scorer,
    id_images: ImageSet,
    clean: Scored,
    *,
    batch_size: int,
    on_image: Callable[[], None] = lambda: None,
) -> CorruptionResult:
    """Score corrupted images at all five strengths.

    Args:
        corrupted: The corruption, and of how many images.
        scorer: The artefact.
        id_images: The ID images; labels are used if they are the artefact's.
        clean: What the artefact says about all of them as they are.
        batch_size: Images per inference.
        on_image: Called after each image, to show progress.

    Raises:
        DataError: If a file is no readable image, or a score is not finite.
        InputError: If there are fewer ID images than were asked for.
    """
    labels = true_labels(id_images, scorer.metadata.classes)
    results = []
    for strength in STRENGTHS:
        images = corrupted.images(scorer, id_images, strength)
        scored = score(scorer, images, batch_size=batch_size, on_image=on_image)
        is_right = None if labels is None else scored.label_index == labels[images.origins]
        results.append(_result(strength, clean, scored, is_right))
    return CorruptionResult(corrupted.corruption.name, tuple(results))


def _result(
    strength: int, clean: Scored, scored: Scored, is_right: NDArray[np.bool_] | None
) -> CorruptedResult:
    accuracy = error = math.nan
    if is_right is not None:
        accuracy = classification.accuracy(is_right)
        error = classification.expected_calibration_error(scored.confidence, is_right)
    return CorruptedResult(
        strength=strength,
        n=len(scored),
        accuracy=accuracy,
        mean_max_probability=float(scored.confidence.mean()),
        expected_calibration_error=error,
        flagged={head: float(flags.mean()) for head, flags in scored.decisions.items()},
        auroc={
            head: detection.auroc_of_pair(values, scored.scores[head])
            for head, values in clean.scores.items()
        },
    )


def _bound(spec: Spec) -> CorruptedSet:
    corruption: Corruption = CORRUPTIONS.get(spec.name)
    return CorruptedSet(
        corruption, **bind_sampled(corruption.corrupt, spec.parameters, owner=corruption.name)
    )


def _corrupted(
    corruption: Corruption,
    constant: float,
    generator: np.random.Generator,
    image: NDArray[np.float64],
) -> NDArray[np.float64]:
    corrupted: NDArray[np.float64] = corruption.corrupt(generator, image, constant)
    return corrupted
