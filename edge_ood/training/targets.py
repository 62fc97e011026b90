"""What a step wants the heads to say of its images, where that is not their labels alone.

Every objective has the loss of targets, so smoothing, mixing and weighting need not know it. None
of them draws from torch's generator: what an objective draws is the same without them.
"""

from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.nn import functional

from edge_ood.objectives import Batch, mixed
from edge_ood.training.batches import MIXTURE
from edge_ood.training.session import Session
from edge_ood.training.settings import BALANCED_LOSS, Settings

__all__ = ["target_rows", "with_targets"]


def with_targets(session: Session, batch: Batch, step: int) -> Batch:
    """The batch with targets, and its images mixed, as the settings have it; else as it is.

    With mixup (Zhang et al. 2018, arXiv:1710.09412) one share l is drawn from `Beta(mixup, mixup)`
    for each step, and each image x of the joined batch, shuffled as it is, meets the one before it
    in `l x + (1 - l) x'`, with targets mixed alike. That is the same for any number of processes.
    """
    settings = session.batches.settings
    if not (settings.label_smoothing or settings.mixup or settings.balance == BALANCED_LOSS):
        return batch
    assert batch.prior is not None
    targets = target_rows(batch.labels, batch.prior, settings)
    if not settings.mixup:
        return replace(batch, targets=targets)
    generator = np.random.default_rng((settings.seed, MIXTURE, step))
    share = float(generator.beta(settings.mixup, settings.mixup))
    images, targets = (
        mixed(rows, share, before_first=_last_before(session, rows))
        for rows in (batch.images, targets)
    )
    return replace(batch, images=images, targets=targets)


def target_rows(labels: Tensor, prior: Tensor, settings: Settings) -> Tensor:
    """`w_y ((1 - s) [k = y] + s / K)` for each class k, float32 (N, K).

    The weight w_y is 1, or with a balanced loss `1 / (K prior_y)`: each class counts as much as
    another, and the mean over all training images is 1.

    Args:
        labels: int64 (N,).
        prior: float32 (K,), the share of each class among all training images, all above 0.
        settings: The smoothing s, and whether the loss is balanced.
    """
    classes, smoothing = len(prior), settings.label_smoothing
    rows = functional.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    if settings.balance == BALANCED_LOSS:
        rows = rows / (classes * prior[labels]).unsqueeze(1)
    return rows


def _last_before(session: Session, rows: Tensor) -> Tensor | None:
    """The last row of the process before this one; None where there is one process."""
    share = session.batches.share
    if share.processes == 1:
        return None
    last = rows.new_zeros((share.processes, *rows.shape[1:]))
    last[share.rank] = rows[-1]
    joined = session.fabric.all_reduce(last, reduce_op="sum")  # a sum with zeros is exact
    assert isinstance(joined, Tensor)
    return joined[share.rank - 1]
