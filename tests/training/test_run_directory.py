"""Run directories: what is written is read back, and damage is reported."""

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ood.errors import ArtifactError, DataError
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.run_directory import (
    SPLITS,
    EpochReport,
    Run,
    RunConfig,
    Start,
    read_metrics,
    read_run,
    write_metrics,
    write_run,
)
from edge_ood.training.settings import Settings

CLASSES = ("grüne Äpfel", "rote / Birnen")
EPOCHS = (
    EpochReport(1, 0.1, 2.5, 0.25, 812.5, 4.0, 0.25, 0.125),
    EpochReport(2, 0.05, 1 / 3, math.nan, 800.0, 4.25),
)


def some_run(folder: Path) -> Run:
    """A run from another, with names that are not ASCII, a path that is not UTF-8, no outliers."""
    root = Path("/images")
    undecodable = os.fsdecode(b"\xff.png")
    training = ImageSet(
        (root / "ä" / "1.png", root / "b" / undecodable), np.array([0, 1]), CLASSES, ("aa", "bb")
    )
    calibration = ImageSet((Path("/elsewhere/c.png"),), None, CLASSES, ("cc",))
    empty = ImageSet((), None, CLASSES)
    settings = Settings(Spec("wrn-10-1", {"dropout": 0.1}), Spec("cross-entropy"), heads=2, seed=7)
    config = RunConfig(
        settings,
        CLASSES,
        Preprocess(16, resize="stretch"),
        {"threads": 2},
        Start("/runs/перший", "ab" * 32),
        {"m_in": -11.25, "m_out": 0.1},
    )
    splits = (training, calibration, empty, empty, calibration, calibration)
    return Run(folder, config, dict(zip(SPLITS, splits, strict=True)))


def change(path: Path, edit: dict[str, Any]) -> None:
    """Overwrite keys of a JSON file; None removes a key."""
    document = {**json.loads(path.read_text()), **edit}
    path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))


def test_a_configuration_is_read_back(tmp_path: Path) -> None:
    """Settings, classes, preprocessing and environment survive the round trip."""
    write_run(some_run(tmp_path))

    assert some_run(tmp_path).config == read_run(tmp_path).config


@pytest.mark.parametrize("name", SPLITS)
def test_splits_are_read_back(tmp_path: Path, name: str) -> None:
    """Paths, labels and hashes of every split survive, whatever bytes are in a path."""
    run = some_run(tmp_path)
    write_run(run)

    found, expected = read_run(tmp_path).splits[name], run.splits[name]

    assert (expected.paths, expected.hashes) == (found.paths, found.hashes)
    np.testing.assert_equal(expected.labels, found.labels)


def test_a_run_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Without a start, measured parameters and images of an earlier training, there are none."""
    write_run(some_run(tmp_path))
    change(tmp_path / "config.json", {"start": None, "measured": None})
    change(tmp_path / "splits.json", {"pretraining": None, "unlabelled": None})

    run = read_run(tmp_path)

    assert (None, {}) == (run.config.start, run.config.measured)
    assert [0, 0] == [len(run.splits[name]) for name in ("unlabelled", "pretraining")]


@pytest.mark.parametrize("missing", ["config.json", "splits.json"])
def test_a_folder_without_a_run_is_an_error(tmp_path: Path, missing: str) -> None:
    """The error says which folder is no run directory, and the hint how one is made."""
    write_run(some_run(tmp_path))
    (tmp_path / missing).unlink()

    with pytest.raises(ArtifactError, match=f"is not a run directory: no readable {missing}") as e:
        read_run(tmp_path)

    assert "edge-ood train" in str(e.value.hint)


@pytest.mark.parametrize("name", ["config.json", "splits.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"format": 1}', b"\xff"])
def test_a_damaged_file_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    """Text that is no document of ours is reported as damage."""
    write_run(some_run(tmp_path))
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ArtifactError, match="damaged"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("config.json", {"settings": None}),
        ("config.json", {"settings": 3}),
        ("config.json", {"settings": {"model": "wrn", "objective": {}}}),
        ("config.json", {"classes": ["only one"]}),
        ("config.json", {"classes": 5}),
        ("config.json", {"preprocess": {"size_px": 0}}),
        ("splits.json", {"training": None}),
        ("splits.json", {"training": {"root": "/", "images": []}}),
        ("splits.json", {"training": {"root": "/", "images": [["a.png", "aa", 2]]}}),
        ("splits.json", {"training": {"root": "/", "images": [["a.png", "aa", -1]]}}),
        ("splits.json", {"training": {"root": "/", "images": [["a.png", "aa"]]}}),
        ("splits.json", {"outliers": {"root": "/", "images": [["a", "b", 0], ["c", "d", None]]}}),
    ],
)
def test_impossible_content_is_an_error(tmp_path: Path, name: str, edit: dict[str, Any]) -> None:
    """Missing keys, wrong types and labels without a class are reported as damage."""
    write_run(some_run(tmp_path))
    change(tmp_path / name, edit)

    with pytest.raises(ArtifactError, match="damaged"):
        read_run(tmp_path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    """A run of a later edge-ood is refused with both format numbers."""
    write_run(some_run(tmp_path))
    change(tmp_path / "config.json", {"format": 9})

    with pytest.raises(ArtifactError, match="format 9, this edge-ood reads up to 1"):
        read_run(tmp_path)


def test_metrics_are_read_back(tmp_path: Path) -> None:
    """Every number of every epoch survives, NaN included."""
    write_metrics(tmp_path, EPOCHS)

    assert repr(EPOCHS) == repr(read_metrics(tmp_path))


def test_metrics_have_one_row_an_epoch(tmp_path: Path) -> None:
    """Writing again replaces the rows, under a fixed header."""
    write_metrics(tmp_path, EPOCHS[:1])
    write_metrics(tmp_path, EPOCHS)

    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    header = "epoch,learning_rate,training_loss,validation_accuracy,images_per_s,seconds"
    assert f"{header},first_head_accuracy,second_head_accuracy" == lines[0]
    assert ["1", "2"] == [line.split(",")[0] for line in lines[1:]]


@pytest.mark.parametrize("content", ["epoch,learning_rate\n1,x\n", "wrong\n1\n", "epoch\nx\n"])
def test_damaged_metrics_are_an_error(tmp_path: Path, content: str) -> None:
    """A table with other columns or no numbers is reported as damage."""
    (tmp_path / "metrics.csv").write_text(content)

    with pytest.raises(ArtifactError, match="damaged"):
        read_metrics(tmp_path)


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the error says so, and no file of the run is there."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(DataError, match="No space left on device"):
        write_run(some_run(tmp_path))

    assert [] == list(tmp_path.iterdir())
