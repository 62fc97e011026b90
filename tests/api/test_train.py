"""`edge_ood.train` does what `edge-ood train` does, with plain options."""

import os
from pathlib import Path

import pytest

import edge_ood
from edge_ood.errors import InputError
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


def test_a_recipe_needs_its_run(tiny_images: Path, tmp_path: Path) -> None:
    """What fine-tunes cannot begin from nothing."""
    with pytest.raises(InputError, match="fine-tunes a finished run, got none"):
        edge_ood.train(tiny_images / "train", tmp_path / "run", recipe="oe-tuned-cifar10")


def test_nothing_is_printed(
    tiny_images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library leaves the terminal to its caller."""
    os.environ.pop("RANK", None)

    edge_ood.train(tiny_images / "train", tmp_path / "run", device="cpu", **TINY)

    assert ("", "") == tuple(capfd.readouterr())
