"""Plain cross-entropy, the training every other objective builds on."""

from collections.abc import Iterator

from torch import Tensor

from edge_ood.objectives import Batch, Model, Objective, cross_entropy_by_head, logits_by_head


def cross_entropy(model: Model, batch: Batch) -> Iterator[Tensor]:
    """One loss: the cross-entropy of the labels, `mean(logsumexp_k z_k - z_y)`.

    With two heads it is the mean of the heads' own losses.

    Args:
        model: Maps `batch.images` to logits.
        batch: Uses images (N, 3, S, S) and labels (N,).

    Yields:
        A scalar in nats, >= 0.

    Source: Hendrycks & Gimpel 2017, arXiv:1610.02136, section 3: the maximum softmax baseline.
    """
    yield cross_entropy_by_head(logits_by_head(model(batch.images)), batch.labels)


OBJECTIVE = Objective("cross-entropy", cross_entropy, source="Hendrycks & Gimpel 2017, sec. 3")
