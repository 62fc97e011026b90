"""Gradients that heads step along, held against differences of the classifier itself."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ood.attachment.request import Request
from edge_ood.parity.gradient_check import GradientReport, check_gradient
from edge_ood.scores import BoundHead

__all__ = ["checked_gradients"]


def checked_gradients(
    request: Request, heads: Sequence[BoundHead], images: Mapping[str, NDArray[np.uint8]]
) -> tuple[GradientReport, ...]:
    """What differences say about heads that perturb, where the reference has no own gradient.

    Raises:
        ExportError: If a gradient is too far off.
    """
    return tuple(
        report
        for head in heads
        if head.epsilon and request.reference.by_differences
        for report in check_gradient(
            request.classifier,
            request.reference.float64,
            head,
            images,
            request.preprocess,
            provider=request.options.provider,
        )
    )
