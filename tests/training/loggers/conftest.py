"""A tiny run, trained as users train it: with loggers by name."""

import csv
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

import edge_ood
from edge_ood.training.progress import Progress

TINY = {
    "model": "wrn-10-1:dropout=0.25",
    "image_size": 8,
    "batch_size": 14,
    "device": "cpu",
    "cache": "none",
}


def stop(report: Any) -> None:
    """End training after an epoch, before its state is saved: it has to be repeated."""
    raise KeyboardInterrupt


@pytest.fixture
def train(tiny_images: Path, tmp_path: Path) -> Callable[..., Path]:
    """Trains two epochs into the folder `run`, or until it is stopped after the first."""

    def train(*, stopped: bool = False, **options: Any) -> Path:
        output = tmp_path / "run"
        progress = Progress(on_epoch=stop) if stopped else options.pop("progress", Progress())
        given = {**TINY, "epochs": 2, "progress": progress, **options}
        if stopped:
            with pytest.raises(KeyboardInterrupt):
                edge_ood.train(tiny_images / "train", output, **given)
        else:
            edge_ood.train(tiny_images / "train", output, **given)
        return output

    return train


@pytest.fixture
def columns() -> Callable[[Path], dict[str, list[float]]]:
    """The columns of a run's `metrics.csv` that have a value in every row, without the epoch."""

    def columns(run: Path) -> dict[str, list[float]]:
        rows = list(csv.DictReader((run / "metrics.csv").read_text("utf-8").splitlines()))
        found = {name: [float(row[name]) for row in rows] for name in rows[0] if name != "epoch"}
        return {name: numbers for name, numbers in found.items() if all(map(isfinite, numbers))}

    return columns
