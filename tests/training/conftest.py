"""A tiny network trained on tiny images: settings, a function that trains, and a finished run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_training import CPU, SETTINGS, SIDE

from edge_ood.images.preprocess import Preprocess
from edge_ood.training.progress import TrainReport
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders


@pytest.fixture(scope="session")
def tiny_settings() -> Settings:
    """Two epochs of four steps of the smallest network, with dropout."""
    return SETTINGS


@pytest.fixture(scope="session")
def run_training() -> Callable[..., TrainReport]:
    """Trains on the tiny images with their own calibration and validation folders."""
    return _run_training


@pytest.fixture(scope="session")
def finished(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, read only."""
    output = tmp_path_factory.mktemp("finished") / "run"
    _run_training(tiny_images, output)
    return output


def _run_training(images: Path, output: Path, launch: Launch = CPU, **settings: Any) -> TrainReport:
    chosen = replace(SETTINGS, **settings)
    folders = Folders(
        images / "train",
        images / "outliers" if chosen.objective.name == "outlier-exposure" else None,
        images / "calibration",
        images / "validation",
    )
    return train(folders, chosen, Preprocess(SIDE), output, launch=launch)
