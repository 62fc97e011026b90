"""Outlier Exposure: auxiliary images are pushed to a prediction that favours no class."""

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


def outlier_exposure(
    model: Model,
    batch: Batch,
    *,
    weight: NonNegative = 0.5,
    target: Literal["uniform", "prior"] = "uniform",
) -> Iterator[Tensor]:
    """One loss: cross-entropy plus `weight * mean_outliers(logsumexp_k z_k - sum_k q_k z_k)`.

    The second term is the cross-entropy from the target q, at least the entropy of q: ln K for the
    uniform one. Each mean is over its own batch, and both batches share one forward pass, so batch
    normalisation sees them together. With two heads it is the mean of the heads' own losses.

    Args:
        model: Maps the joined batch to logits.
        batch: Uses images (N, 3, S, S), labels (N,), outliers (M, 3, S, S) and the prior (K,).
        weight: Of the outliers' term, dimensionless, >= 0; 0.5 in the paper's vision experiments.
        target: q is `uniform`, or the `prior`: the share of each class in the training images.

    Yields:
        A scalar in nats, >= weight times the entropy of q.

    Source: Hendrycks, Mazeika & Dietterich 2019, arXiv:1812.04606, section 3; the outliers' term is
        written with logsumexp instead of the logarithm of a softmax, and the prior is of this
        project.
    """
    assert batch.outliers is not None
    joined = logits_by_head(model(torch.cat([batch.images, batch.outliers])))
    logits, outlier_logits = joined[: len(batch.images)], joined[len(batch.images) :]
    if target == "uniform":
        expected = outlier_logits.mean(-1)
    else:
        assert batch.prior is not None
        expected = (outlier_logits * batch.prior).sum(-1)
    undecided = (outlier_logits.logsumexp(-1) - expected).mean()
    yield classification_loss(logits, batch) + weight * undecided


OBJECTIVE = Objective(
    "outlier-exposure",
    outlier_exposure,
    needs=lambda **parameters: Needs(outliers=True, virtual=True),
    source="Hendrycks et al. 2019, sec. 3",
)
