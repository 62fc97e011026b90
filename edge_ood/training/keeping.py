"""Which epoch's weights a run keeps, and whether it ends before its last epoch; without torch.

Both are functions of the validation accuracies, so that a resumed run and a reader of `metrics.csv`
find the same.
"""

import math
from collections.abc import Sequence

from edge_ood.training.run_directory import EpochReport
from edge_ood.training.settings import BEST, Settings

__all__ = ["has_ended", "kept_epoch"]


def kept_epoch(settings: Settings, epochs: Sequence[EpochReport]) -> int:
    """The epoch whose weights are kept, counted from 1: the last, or of the best ones the latest.

    Equal accuracies are common where there are few validation images, and the later weights have
    had more training, at a lower rate.

    Args:
        settings: What to keep.
        epochs: All that were trained, none missing; 0 where there are none.
    """
    accuracies = [epoch.validation_accuracy for epoch in epochs]
    if settings.keep != BEST or not accuracies or math.isnan(accuracies[-1]):
        return len(accuracies)
    return len(accuracies) - accuracies[::-1].index(max(accuracies))


def has_ended(settings: Settings, epochs: Sequence[EpochReport]) -> bool:
    """Whether as many epochs as the patience lasts have not raised the validation accuracy."""
    if not settings.patience or not epochs:
        return False
    accuracies = [epoch.validation_accuracy for epoch in epochs]
    rose = 1 + accuracies.index(max(accuracies))
    return len(accuracies) - rose >= settings.patience
