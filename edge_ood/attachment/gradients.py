"""Gradients of a finished file, held against differences where nothing else gives them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ood.attachment.request import Request
from edge_ood.parity.gradient_check import GradientReport, check_gradient
from edge_ood.scores import BoundHead

__all__ = ["checked_gradients"]


def checked_gradients(
    request: Request, heads: Sequence[BoundHead], images: Mapping[str, NDArray[np.uint8]]
) -> Iterator[GradientReport]:
    """What differences say about heads that perturb, where the reference has no own gradient.

    Args:
        request: Its classifier, as it ships, and its reference.
        heads: With the parameters that they ship with.
        images: Pixels (S, S, 3) by name.
    """
    for head in heads:
        if head.epsilon and request.reference.by_differences:
            yield from check_gradient(
                request.classifier,
                request.reference.float64,
                head,
                images,
                request.preprocess,
                provider=request.options.provider,
            )
