"""Broken images, few images and folders of splits: what training makes of them, and says."""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_training import CPU, SETTINGS, SIDE, trained

from edge_ood.errors import ChanceLevelError, DataError
from edge_ood.images.preprocess import Preprocess
from edge_ood.training.run_directory import read_run
from edge_ood.training.store import Reading
from edge_ood.training.train import train
from edge_ood.training.training_set import Folders, TrainingSet, read_training_set

BROKEN = ("bright/03.png", "dark/00.png", "dark/07.png", "dark/empty.png", "dark/text.png")


@pytest.fixture
def whole(tiny_images: Path, tmp_path: Path) -> Path:
    """The training images, and nothing else."""
    shutil.copytree(tiny_images / "train", tmp_path / "whole")
    return tmp_path / "whole"


@pytest.fixture
def broken(whole: Path) -> Path:
    """The same, of which three are cut off, beside two that never were images."""
    for name in BROKEN[:3]:
        (whole / name).write_bytes((whole / name).read_bytes()[:-30])
    (whole / "dark" / "empty.png").touch()
    (whole / "dark" / "text.png").write_text("no image")
    return whole


def read(data: Path, scratch: Path, **options: Any) -> TrainingSet:
    return read_training_set(
        Folders(data), Preprocess(SIDE), 0, scratch, reading=Reading(**options)
    )


def test_all_broken_images_are_named_before_training_stops(broken: Path, tmp_path: Path) -> None:
    """Every one in a note with its reason, the first ones in the error, which says how to go on."""
    notes: list[str] = []

    with pytest.raises(DataError, match=r"5 of 50 images are broken: .*03\.png.* 2 more") as caught:
        read(broken, tmp_path, on_note=notes.append)

    for name in BROKEN:
        assert 1 == sum(str(broken / name) in note for note in notes)
    assert "--skip-broken" in str(caught.value.hint)


def test_skipping_is_as_if_they_were_not_there(broken: Path, tmp_path: Path) -> None:
    """Roles and pixels are those of the folder after the broken images were removed."""
    skipped = read(broken, tmp_path, skip_broken=True)
    for name in BROKEN:
        (broken / name).unlink()

    expected = read(broken, tmp_path)

    assert {broken / name for name in BROKEN} == set(skipped.broken)
    for role, images in expected.splits.items():
        assert images.paths == skipped.splits[role].paths
        assert images.hashes == skipped.splits[role].hashes
    for role, pixels in expected.pixels.items():
        np.testing.assert_array_equal(pixels[:], skipped.pixels[role][:])


def test_a_run_records_what_it_skipped(broken: Path, tmp_path: Path) -> None:
    """`splits.json` has the files and why; whoever reads the run has them, too."""
    run = tmp_path / "run"

    trained(Folders(broken), SETTINGS, run, replace(CPU, skip_broken=True))

    written = json.loads((run / "splits.json").read_text("utf-8"))["broken"]
    assert sorted(str(broken / name) for name in BROKEN) == sorted(written)
    assert "not an image" in written[str(broken / "dark" / "text.png")]
    assert {Path(file): reason for file, reason in written.items()} == read_run(run).broken


def test_broken_outliers_are_found_with_the_others(broken: Path, tmp_path: Path) -> None:
    """All folders are read before the error, so that one run names everything."""
    outliers = tmp_path / "outliers"
    outliers.mkdir()
    (outliers / "x.png").write_text("no image")

    with pytest.raises(DataError, match="6 of 51 images are broken"):
        read_training_set(Folders(broken, outliers), Preprocess(SIDE), 0, tmp_path)


def test_a_folder_of_broken_images_is_refused(whole: Path, tmp_path: Path) -> None:
    """Skipping all outliers would be another training."""
    outliers = tmp_path / "outliers"
    outliers.mkdir()
    (outliers / "x.png").write_text("no image")

    with pytest.raises(DataError, match=r"no image of '.*outliers' can be decoded"):
        read_training_set(
            Folders(whole, outliers),
            Preprocess(SIDE),
            0,
            tmp_path,
            reading=Reading(skip_broken=True),
        )


def test_a_class_that_loses_its_images_is_named(whole: Path, tmp_path: Path) -> None:
    """One image that can be decoded is too few."""
    for path in sorted((whole / "dark").iterdir())[1:]:
        path.write_bytes(b"")

    with pytest.raises(DataError, match="class 'dark' has 1 image that can be decoded"):
        read(whole, tmp_path, skip_broken=True)


@pytest.mark.parametrize("kept", [2, 3, 10])
def test_a_class_of_few_images_trains_and_is_named(whole: Path, tmp_path: Path, kept: int) -> None:
    """Ten images or fewer are enough to train, and worth a word."""
    for path in sorted((whole / "dark").iterdir())[kept:]:
        path.unlink()
    notes: list[str] = []

    with contextlib.suppress(ChanceLevelError):  # so few images may say nothing else
        trained(Folders(whole), SETTINGS, tmp_path / "run", on_note=notes.append)

    assert read_run(tmp_path / "run").is_finished
    (note,) = (note for note in notes if "10 images or fewer" in note)
    assert f"1 of 2 classes have 10 images or fewer: 'dark' ({kept});" in note


def test_eleven_images_are_worth_no_word(whole: Path, tmp_path: Path) -> None:
    """The note is for what is rare."""
    for path in sorted((whole / "dark").iterdir())[11:]:
        path.unlink()

    assert () == read(whole, tmp_path).notes


def test_folders_of_splits_are_taken_for_what_they_are(tiny_images: Path, tmp_path: Path) -> None:
    """Trains on `train`, validates on `val`, leaves `test` alone, and says all of it."""
    for ours, theirs in (("train", "train"), ("validation", "val"), ("calibration", "test")):
        shutil.copytree(tiny_images / ours, tmp_path / "data" / theirs)
    data, notes = tmp_path / "data", list[str]()

    trained(Folders(data), SETTINGS, tmp_path / "run", on_note=notes.append)

    splits = read_run(tmp_path / "run").splits
    used = {path for images in splits.values() for path in images.paths}
    assert set((data / "train").rglob("*.png")) | set((data / "val").rglob("*.png")) == used
    assert set((data / "val").rglob("*.png")) == set(splits["validation"].paths)
    (note,) = (note for note in notes if "holds splits" in note)
    for word in (f"'{data / 'train'}'", f"'{data / 'val'}'", f"'{data / 'test'}' is left alone"):
        assert word in note


def test_a_validation_folder_of_the_users_goes_first(tiny_images: Path, tmp_path: Path) -> None:
    """What is given by hand is used, and the folder inside DATA is left alone."""
    for name in ("train", "val"):
        shutil.copytree(tiny_images / "train", tmp_path / "data" / name)
    folders, notes = Folders(tmp_path / "data", validation=tiny_images / "validation"), list[str]()

    trained(folders, SETTINGS, tmp_path / "run", on_note=notes.append)

    paths = read_run(tmp_path / "run").splits["validation"].paths
    assert all(path.is_relative_to(tiny_images / "validation") for path in paths)
    assert any(f"leaves '{tmp_path / 'data' / 'val'}' alone" in note for note in notes)


def test_a_resumed_run_may_skip_the_same(
    broken: Path, tmp_path: Path, run_training: Callable[..., Any]
) -> None:
    """A finished run is found again whatever is broken in DATA."""
    launch = replace(CPU, skip_broken=True)
    trained(Folders(broken), SETTINGS, tmp_path / "run", launch)

    report = train(
        Folders(broken),
        SETTINGS,
        Preprocess(SIDE),
        tmp_path / "run",
        launch=replace(launch, resume=True),
    )

    assert tmp_path / "run" == report.path
