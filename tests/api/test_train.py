"""`edge_ood.train` does what `edge-ood train` does, with plain options."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

import edge_ood
from edge_ood.errors import ChanceLevelError, InputError
from edge_ood.training.progress import Progress
from edge_ood.training.run_directory import Run, read_run

pytest.importorskip("torch")

TINY = {"model": "wrn-10-1:dropout=0", "image_size": 8, "epochs": 1, "batch_size": 14}


def test_plain_options_reach_the_run(tiny_images: Path, tmp_path: Path) -> None:
    """Names, paths as text, numbers and words are the settings of the run."""
    report = edge_ood.train(
        str(tiny_images / "train"),
        str(tmp_path / "run"),
        outliers=str(tiny_images / "outliers"),
        objective="outlier-exposure:weight=0.25",
        augmentation=["flip"],
        outlier_batch_size=6,
        lr=0.05,
        seed=3,
        device="cpu",
        **TINY,
    )

    settings = read_run(tmp_path / "run").config.settings
    assert ("wrn-10-1", 0.25) == (settings.model.name, settings.objective.parameters["weight"])
    assert (("flip",), 6, 0.05, 3) == (
        settings.augmentation,
        settings.outlier_batch_size,
        settings.learning_rate,
        settings.seed,
    )
    assert tmp_path / "run" == report.run.path


def test_what_is_going_to_be_trained_is_said_first(tiny_images: Path, tmp_path: Path) -> None:
    """`on_start` hears of the run before the first epoch ends."""
    heard: list[str] = []

    def on_start(run: Run) -> None:
        heard.append(f"{run.config.settings.epochs} epoch of {len(run.splits['training'])} images")

    progress = Progress(on_start=on_start, on_epoch=lambda report: heard.append("epoch"))
    report = edge_ood.train(
        tiny_images / "train", tmp_path / "run", device="cpu", progress=progress, **TINY
    )

    trained = len(report.run.splits["training"])
    assert [f"1 epoch of {trained} images", "epoch"] == heard


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("sgd", 0.1, 5e-4)),
        ({"optimizer": "adamw"}, ("adamw", 0.001, 0.01)),
        ({"optimizer": "adamw", "lr": 0.02, "weight_decay": 0.3}, ("adamw", 0.02, 0.3)),
        ({"optimizer": "adamw", "recipe": "baseline-cifar10"}, ("adamw", 0.001, 0.01)),
        ({"recipe": "baseline-cifar10"}, ("sgd", 0.1, 5e-4)),
    ],
)
def test_an_optimiser_brings_its_rates(
    tiny_images: Path, tmp_path: Path, options: dict[str, Any], expected: tuple[str, float, float]
) -> None:
    """Those of torch for AdamW, in place of a recipe's, which were found for another."""
    with contextlib.suppress(ChanceLevelError):
        edge_ood.train(tiny_images / "train", tmp_path / "run", device="cpu", **{**TINY, **options})

    found = read_run(tmp_path / "run").config.settings
    assert expected == (found.optimizer, found.learning_rate, found.weight_decay)


def test_fine_tuning_with_adamw_is_gentler(tiny_images: Path, tmp_path: Path) -> None:
    """By a factor of ten, as without: 0.001 for 0.1 is one of a hundred."""
    for name, start in (("first", None), ("second", tmp_path / "first")):
        edge_ood.train(
            tiny_images / "train",
            tmp_path / name,
            start=start,
            optimizer="adamw",
            device="cpu",
            **{**TINY, "epochs": 3},
        )

    rates = [
        read_run(tmp_path / name).config.settings.learning_rate for name in ("first", "second")
    ]
    assert [1e-3, 1e-4] == pytest.approx(rates)


def test_a_recipe_needs_its_run(tiny_images: Path, tmp_path: Path) -> None:
    """What fine-tunes cannot begin from nothing."""
    with pytest.raises(InputError, match="fine-tunes a trained network, got none"):
        edge_ood.train(tiny_images / "train", tmp_path / "run", recipe="oe-tuned-cifar10")


def test_nothing_is_printed(
    tiny_images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library leaves the terminal to its caller."""
    os.environ.pop("RANK", None)

    edge_ood.train(tiny_images / "train", tmp_path / "run", device="cpu", **TINY)

    assert ("", "") == tuple(capfd.readouterr())
