"""An objective of one's own: logits of outliers are drawn together."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from edge_ood.objectives import (
    Batch,
    Model,
    Needs,
    Objective,
    classification_loss,
    logits_by_head,
)
from edge_ood.registry import NonNegative


def a_newcomer(
    model: Model,
    batch: Batch,
    *,
    weight: NonNegative = 0.1,
    around: Literal["mean", "nothing-at-all"] = "mean",
) -> Iterator[Tensor]:
    """One loss: cross-entropy plus `weight * mean_outliers(mean_k (z_k - c)^2)`.

    Args:
        model: Maps the joined batch to logits.
        batch: Uses images (N, 3, S, S), labels (N,) and outliers (M, 3, S, S).
        weight: Of the outliers' term, >= 0.
        around: c is the `mean` of the logits, or `nothing-at-all`: 0.

    Yields:
        A scalar in nats, >= 0.

    Source: this project, to see that a file is enough.
    """
    assert batch.outliers is not None
    joined = logits_by_head(model(torch.cat([batch.images, batch.outliers])))
    logits, others = joined[: len(batch.images)], joined[len(batch.images) :]
    centre = others.mean(-1, keepdim=True) if around == "mean" else 0
    yield classification_loss(logits, batch) + weight * (others - centre).square().mean()


OBJECTIVE = Objective(
    "a-newcomer",
    a_newcomer,
    needs=lambda **parameters: Needs(outliers=True),
    source="this project",
)
