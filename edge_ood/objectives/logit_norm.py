"""Logit normalisation (LogitNorm): cross-entropy of the direction of the logits alone."""

from collections.abc import Iterator

from torch import Tensor

from edge_ood.objectives import Batch, Model, Objective, classification_loss, logits_by_head
from edge_ood.registry import Positive

_SHORTEST = 1e-7  # keeps logits that are all zero from a division by zero, as in the authors' code


def logit_norm(model: Model, batch: Batch, *, tau: Positive = 0.04) -> Iterator[Tensor]:
    """One loss: the cross-entropy of the labels, of the logits `z / (tau (||z||_2 + 1e-7))`.

    Longer logits do not lower it, so a network does not learn to be certain by making them long.
    Only the loss divides: what is validated and exported are the logits z themselves, with the same
    classes. As their length was left to itself, decide by what hardly depends on it (`msp`, `gen`
    or a distance between features), not by `energy`. With two heads, each has a length of its own,
    and the loss is the mean of their own.

    Args:
        model: Maps `batch.images` to logits.
        batch: Uses images (N, 3, S, S) and labels (N,).
        tau: Temperature, dimensionless, > 0: no probability of K classes is above
            `1 / (1 + (K - 1) exp(-c / tau))`, `c = sqrt(K / (K - 1))`. 0.04 was found for CIFAR.

    Yields:
        A scalar in nats, > 0.

    Source: Wei et al. 2022, arXiv:2205.09310, the loss of the authors' code.
    """
    logits = logits_by_head(model(batch.images)).float()  # 1 / tau enlarges what bfloat16 rounds
    lengths = logits.norm(dim=-1, keepdim=True) + _SHORTEST
    yield classification_loss(logits / (tau * lengths), batch)


OBJECTIVE = Objective(
    "logit-norm",
    logit_norm,
    unfit_heads=("energy", "max_logit"),
    source="Wei et al. 2022",
)
