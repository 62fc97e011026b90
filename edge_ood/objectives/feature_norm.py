"""Feature normalisation (T2FNorm): heads learn from directions of features, and read features."""

from collections.abc import Iterator
from functools import partial

from torch import Tensor
from torch.nn import functional

from edge_ood.objectives import Batch, Model, Objective, classification_loss, logits_by_head
from edge_ood.registry import Positive


def feature_norm(model: Model, batch: Batch, *, tau: Positive = 0.1) -> Iterator[Tensor]:
    """One loss: the cross-entropy of the labels, of the logits `z = W (h / ||h||_2) / tau + b`.

    Here h are the penultimate features. What is validated and exported is another function of the
    same weights, `z = W h / tau + b`: the run is saved with `W / tau` as the weights of an ordinary
    last layer. Features of OOD images turn out shorter, and their predictions less certain.
    Where biases matter the two may name different classes: every accuracy is of the second. With
    two heads it is the mean of the heads' own losses.

    Args:
        model: Maps `batch.images` to logits, of features that are normalised before its heads.
        batch: Uses images (N, 3, S, S) and labels (N,).
        tau: Temperature, dimensionless, > 0.

    Yields:
        A scalar in nats, > 0.

    Source: Regmi et al. 2023, arXiv:2305.17797, as in OpenOOD's `T2FNormNet`. With `--from RUN` the
        weights of the last layer are multiplied by tau first: training starts from the run's
        function as it was exported.
    """
    outputs = model(batch.images, head_inputs=partial(_directions, tau=tau))
    yield classification_loss(logits_by_head(outputs), batch)


def _directions(features: Tensor, *, tau: float) -> Tensor:
    """Features (N, D) of length 1 / tau."""
    return functional.normalize(features, dim=-1) / tau


OBJECTIVE = Objective(
    "feature-norm",
    feature_norm,
    head_factor=lambda *, tau: 1 / tau,
    source="Regmi et al. 2023",
)
