"""Outlier Exposure: auxiliary images are pushed to the uniform prediction."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from edge_ood.objectives import Batch, Model, Objective, logits_by_head


def outlier_exposure(model: Model, batch: Batch, *, weight: float = 0.5) -> Iterator[Tensor]:
    """One loss: cross-entropy plus `weight * mean_outliers(logsumexp_k z_k - mean_k z_k)`.

    The second term is the cross-entropy from the uniform distribution, at least ln K. Each mean is
    over its own batch, and both batches share one forward pass, so batch normalisation sees them
    together. With two heads it is the mean of the heads' own losses.

    Args:
        model: Maps the joined batch to logits.
        batch: Uses images (N, 3, S, S), labels (N,) and outliers (M, 3, S, S).
        weight: Of the outliers' term, dimensionless, >= 0; 0.5 in the paper's vision experiments.

    Yields:
        A scalar in nats, >= weight * ln K.

    Source: Hendrycks, Mazeika & Dietterich 2019, arXiv:1812.04606, section 3; the outliers' term is
        written with logsumexp instead of the logarithm of a softmax.
    """
    assert batch.outliers is not None
    joined = logits_by_head(model(torch.cat([batch.images, batch.outliers])))
    logits, outlier_logits = joined[: len(batch.images)], joined[len(batch.images) :]
    labels = batch.labels.unsqueeze(1).expand(logits.shape[:2])
    uniform = outlier_logits.logsumexp(-1) - outlier_logits.mean(-1)
    known = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    yield known + weight * uniform.mean()


OBJECTIVE = Objective(
    "outlier-exposure",
    outlier_exposure,
    needs_outliers=True,
    source="Hendrycks et al. 2019, sec. 3",
)
