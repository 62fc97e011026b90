"""A synthetic last layer, for what heads need and cost where there is no network yet.

Features are those of images around one direction per class, never negative, as behind a ReLU, and
the layer points along these directions. It has two halves of equal shape, as a network has that was
trained with `--heads 2`; their mean gives the logits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import CalibrationError
from edge_ood.scores import PENULTIMATE, BoundHead, LinearLayer, Outputs

__all__ = ["ExampleLayer", "fit_to_example", "passes"]

_FEWEST_ROWS = 6000
"""Training images: more than fill the banks of features that heads keep by default."""

_BATCH = 500
_SPREAD = 0.5
"""Of features around their class's, whose own spread is one."""

_BETWEEN_HALVES = 0.1


@dataclass(frozen=True)
class ExampleLayer:
    """The layer, and the images that went through it.

    Attributes:
        num_classes: K, 2 or more.
        width: D, features that enter it.
    """

    num_classes: int = 10
    width: int = 512

    @property
    def num_rows(self) -> int:
        """Training images: two for each feature and class at least."""
        return max(_FEWEST_ROWS, 2 * (self.num_classes + self.width))

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """What the classes are around (K, D)."""
        return np.random.default_rng(0).normal(size=(self.num_classes, self.width))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Of both halves (2, K, D)."""
        noise = np.random.default_rng(1).normal(size=(2, self.num_classes, self.width))
        return np.asarray((self.centres + _BETWEEN_HALVES * noise) / np.sqrt(self.width))

    @property
    def linear(self) -> LinearLayer:
        """Their mean."""
        return LinearLayer(self.weights.mean(axis=0), np.zeros(self.num_classes))

    def outputs(self, start: int, stop: int) -> tuple[Outputs, NDArray[np.int64]]:
        """What it gives for the images with these numbers, and their classes."""
        labels = np.arange(start, stop) % self.num_classes
        noise = np.random.default_rng([2, start]).normal(size=(stop - start, self.width))
        features = np.maximum(self.centres[labels] + _SPREAD * noise, 0)
        pair = np.einsum("ij,hkj->ihk", features, self.weights)
        return Outputs(pair.mean(axis=1), pair, {PENULTIMATE: features}), labels

    def training(self) -> Iterator[tuple[Outputs, NDArray[np.int64]]]:
        """All training images in batches."""
        for start in range(0, self.num_rows, _BATCH):
            yield self.outputs(start, min(start + _BATCH, self.num_rows))


def fit_to_example(
    heads: Sequence[BoundHead], layer: ExampleLayer
) -> tuple[tuple[BoundHead, ...], Mapping[str, str]]:
    """The heads with statistics of this layer's images.

    Args:
        heads: With parameters.
        layer: All its images are fed, in one pass.

    Returns:
        Those that could be fitted; and by name of the others, why they could not.
    """
    accumulators = {head.name: head.accumulator(layer.num_classes, layer.linear) for head in heads}
    fed = [each for each in accumulators.values() if each is not None]
    for outputs, labels in layer.training() if fed else ():
        for accumulator in fed:
            accumulator.update(outputs, labels)
    fitted, refused = [], {}
    for head in heads:
        fit = accumulators[head.name]
        try:
            statistics = head.statistics if fit is None else fit.finish()
            fitted.append(replace(head, statistics=statistics))
        except CalibrationError as error:
            refused[head.name] = str(error)
    return tuple(fitted), refused


def passes(head: BoundHead, layer: ExampleLayer | None = None) -> int:
    """How often a network runs for an image that the head scores, if it gives one feature layer.

    Once; and once more, after a gradient, for each output that the head reads of a moved image.

    Args:
        head: With parameters.
        layer: The one that its statistics were fitted to; None if they still have to be.

    Raises:
        CalibrationError: If they cannot be fitted.
    """
    if not head.epsilon:
        return 1
    if layer is None:
        layer = ExampleLayer()
        fitted, refused = fit_to_example([head], layer)
        if refused:
            raise CalibrationError(f"head {head.name!r}: {refused[head.name]}")
        head = fitted[0]
    outputs, _ = layer.outputs(0, 1)
    return 1 + len(head.losses(np, outputs))
