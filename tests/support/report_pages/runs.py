"""Run directories that nobody trained."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.energies import Energies, EnergySample, write_energies
from edge_ood.training.run_directory import (
    SPLITS,
    EpochReport,
    Run,
    RunConfig,
    Start,
    write_metrics,
    write_run,
)
from edge_ood.training.settings import Settings
from report_pages.hostile import HOSTILE


def make_run(
    path: Path,
    *,
    epochs: int = 3,
    outliers: int = 500,
    validation: int = 23,
    measured: Mapping[str, float] | None = None,
    **settings: Any,
) -> Path:
    """Write the directory of a finished run whose classes have hostile names."""
    path.mkdir()
    sizes = dict.fromkeys(SPLITS, 0) | {"training": 40, "calibration": 30}
    sizes |= {"validation": validation, "outliers": outliers}
    unlabelled = ("outliers", "unlabelled", "pretraining")
    splits = {
        name: _images(count, name, is_labelled=count > 0 and name not in unlabelled)
        for name, count in sizes.items()
    }
    write_run(Run(path, _config(epochs, dict(measured or {}), settings), splits))
    random = np.random.default_rng(0)
    held = 1 if validation else math.nan
    rows = random.uniform(0.01, 0.99, (epochs, 7)) * [1, 1, held, 900, 99, held, held]
    write_metrics(path, [EpochReport(i, *row) for i, row in enumerate(rows.tolist(), 1)])
    id_split = "validation" if validation else "training"
    moments = [
        {
            split: EnergySample.of(random.normal(mean, 2, 100 + sizes[split]))
            for split, mean in ((id_split, low), ("outliers", -3))
            if sizes[split]
        }
        for low in (-4, -21)
    ]
    write_energies(path, Energies(*moments))
    (path / "model.safetensors").touch()
    return path


def _config(epochs: int, measured: dict[str, float], settings: Mapping[str, Any]) -> RunConfig:
    chosen = {
        "objective": Spec("energy-bounded", {"weight": 0.1, "m_in": -23.0, "m_out": None}),
        "recipe": "energy-tuned-cifar10",
        "heads": 2,
        "batch_size": 17,
        **settings,
    }
    return RunConfig(
        Settings(Spec("wrn-10-1", {"dropout": 0.25}), epochs=epochs, **chosen),
        HOSTILE,
        Preprocess(16, (0.11, 0.22, 0.33)),
        {"torch": "<i>", "threads": 3},
        Start("/runs/\x1b", "ab" * 32),
        measured,
    )


def _images(count: int, split: str, *, is_labelled: bool) -> ImageSet:
    """Images that nobody looks at, of as many classes as there are hostile names."""
    paths = tuple(Path(f"/images/{split}/<b>{i}.png") for i in range(count))
    labels = np.arange(count) % len(HOSTILE) if is_labelled else None
    hashes = tuple(f"{i:064x}" for i in range(count))
    return ImageSet(paths, labels, HOSTILE, hashes)
