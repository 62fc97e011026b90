"""Maximum classifier discrepancy (MCD): two heads learn to disagree on images they do not know."""

from collections.abc import Iterator
from typing import Literal

from torch import Tensor
from torch.distributions import Categorical

from edge_ood.objectives import (
    Batch,
    Model,
    Needs,
    Objective,
    classification_loss,
    logits_by_head,
)
from edge_ood.registry import NonNegative

_SECOND_HEAD = 1


def classifier_discrepancy(
    model: Model,
    batch: Batch,
    *,
    mode: Literal["auxiliary", "transductive", "transductive-split"] = "auxiliary",
    margin: NonNegative = 1.2,
    weight: NonNegative = 1.0,
) -> Iterator[Tensor]:
    """Two losses, one optimiser step each; both are sums over two heads.

    A: the heads' cross-entropies, of which that of head 2 does not reach the trunk. B: both again,
    all through the trunk, plus `weight * max(0, margin - mean(H(p_1) - H(p_2)))` on unlabelled
    images, a hinge on the mean of the batch: head 1 is pushed to the uniform prediction there and
    head 2 to a certain one. The mean is at most ln K, and at most half of that where half the
    images are ID: then the hinge never closes for K = 10. Labelled and unlabelled images have
    forward passes of their own, so batch normalisation never sees them together.

    Args:
        model: A network with two heads.
        batch: Uses images (N, 3, S, S), labels (N,) and unlabelled images (M, 3, S, S); under
            several processes each has a hinge on its share of them.
        mode: Where the unlabelled images come from: `auxiliary`, training images and auxiliary
            outliers in equal parts; or a pool of the user's, which may hold test images
            (`transductive`, the paper's way) or must not (`transductive-split`).
        margin: Of the entropies' difference, in nats, >= 0.
        weight: Of the hinge, dimensionless, >= 0.

    Yields:
        Two scalars in nats, >= 0.

    Source: Yu & Aizawa 2019, arXiv:1908.04951, eq. 3-5, in the steps of the authors' code; the
        modes besides `transductive` are of this project.
    """
    yield _both(logits_by_head(model(batch.images, detached_heads=(_SECOND_HEAD,))), batch)

    assert batch.unlabelled is not None
    labelled = _both(logits_by_head(model(batch.images)), batch)
    unlabelled = logits_by_head(model(batch.unlabelled))
    predicted = Categorical(logits=unlabelled, validate_args=False)
    entropy: Tensor = predicted.entropy()  # type: ignore[no-untyped-call]
    discrepancy = (entropy[:, 0] - entropy[:, _SECOND_HEAD]).mean()
    yield labelled + weight * (margin - discrepancy).relu()


def _both(logits: Tensor, batch: Batch) -> Tensor:
    """The sum of the heads' cross-entropies."""
    return logits.shape[1] * classification_loss(logits, batch)


def _needs(*, mode: str, **parameters: float) -> Needs:
    pool = ("training", "outliers") if mode == "auxiliary" else ("unlabelled",)
    never_tested = ("unlabelled",) if mode == "transductive-split" else ()
    return Needs(heads=2, unlabelled=pool, never_tested=never_tested)


OBJECTIVE = Objective(
    "classifier-discrepancy",
    classifier_discrepancy,
    needs=_needs,
    source="Yu & Aizawa 2019, eq. 3-5",
)
