"""Plain cross-entropy, the training every other objective builds on; RegMixup is an option."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from edge_ood.objectives import (
    Batch,
    Model,
    Objective,
    classification_loss,
    logits_by_head,
    mixed,
    targets_of,
)
from edge_ood.registry import NonNegative


def cross_entropy(model: Model, batch: Batch, *, regmixup: NonNegative = 0.0) -> Iterator[Tensor]:
    """One loss: the cross-entropy of the labels, `mean(logsumexp_k z_k - z_y)`.

    With `regmixup` it is the mean of that and the cross-entropy of mixed images: each image x of
    the batch, shuffled as it is, meets the one before it, x', in `l x + (1 - l) x'` with labels
    mixed alike, `l CE(z, y) + (1 - l) CE(z, y')`. One number l is drawn for each step. Both halves
    share one forward pass, so batch normalisation sees them together. With two heads it is the mean
    of the heads' own losses.

    Args:
        model: Maps `batch.images`, or these and mixed ones, to logits.
        batch: Uses images (N, 3, S, S) and labels (N,).
        regmixup: Both parameters of the beta distribution of l, >= 0; 0 mixes nothing. The paper
            has 20 for CIFAR-10 and 10 for CIFAR-100: l is then near 1/2.

    Yields:
        A scalar in nats, >= 0.

    Source: Hendrycks & Gimpel 2017, arXiv:1610.02136, section 3: the maximum softmax baseline.
        RegMixup: Pinto et al. 2022, arXiv:2206.14502, halved as in the authors' code, which takes
        the mean over both halves where the paper has their sum.
    """
    if not regmixup:
        yield classification_loss(logits_by_head(model(batch.images)), batch)
        return
    share = _drawn_share(regmixup)
    logits = logits_by_head(model(torch.cat([batch.images, mixed(batch.images, share)])))
    plain, blended = logits[: len(batch.images)], logits[len(batch.images) :]
    targets = mixed(targets_of(batch, logits.shape[-1]), share)
    of_mixed = classification_loss(blended, replace(batch, targets=targets))
    yield (classification_loss(plain, batch) + of_mixed) / 2


def _drawn_share(alpha: float) -> float:
    """A draw of Beta(alpha, alpha) on the host, from the generator that has the step's seed."""
    distribution = torch.distributions.Beta(alpha, alpha, validate_args=False)
    return float(distribution.sample())


OBJECTIVE = Objective("cross-entropy", cross_entropy, source="Hendrycks & Gimpel 2017, sec. 3")
