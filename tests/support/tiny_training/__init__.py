"""Settings of the smallest training that has all its parts, on images of 8 px."""

from dataclasses import replace

from edge_ood.registry import Spec
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch

SIDE = 8
CPU = Launch(device="cpu")
SETTINGS = Settings(
    model=Spec("wrn-10-1", {"dropout": 0.1}),
    objective=Spec("cross-entropy"),
    epochs=2,
    batch_size=14,
    outlier_batch_size=6,
    learning_rate=0.05,
)
WITH_OUTLIERS = replace(
    SETTINGS,
    model=Spec("wrn-10-1", {"dropout": 0.0}),
    objective=Spec("outlier-exposure"),
)
"""No dropout, whose masks differ between devices and compilers."""
