"""Settings of the smallest training that has all its parts, on images of 8 px, and runs of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.progress import Progress
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

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


def trained(
    folders: Folders, settings: Settings, run: Path, launch: Launch = CPU, **callbacks: Any
) -> bytes:
    """The weights of a run; its checkpoint is after every step."""
    train(
        folders,
        settings,
        Preprocess(SIDE),
        run,
        launch=replace(launch, checkpoint_s=0.0),
        progress=Progress(**callbacks),
    )
    return (run / "model.safetensors").read_bytes()


def stopped_and_resumed(folders: Folders, settings: Settings, run: Path) -> bytes:
    """The weights of a run that was interrupted after its first epoch."""

    def stop(report: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(folders, settings, run, on_epoch=stop)
    return trained(folders, settings, run, replace(CPU, resume=True))
