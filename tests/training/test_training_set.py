"""Which image plays which role, and what is refused before training."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash
from edge_ood.training.store import Reading
from edge_ood.training.training_set import (
    Folders,
    TrainedOn,
    TrainingSet,
    plan_splits,
    read_splits,
    read_training_set,
)

SIDE = 8


def read(folders: Folders, scratch: Path) -> TrainingSet:
    return read_training_set(folders, Preprocess(SIDE), 0, scratch=scratch)


def test_every_image_has_exactly_one_role(tiny_images: Path) -> None:
    """By default DATA is cut into training, calibration and validation without rest or overlap."""
    splits = plan_splits(Folders(tiny_images / "train"), seed=0)

    roles = [p for name in ("training", "calibration", "validation") for p in splits[name].paths]
    assert sorted((tiny_images / "train").rglob("*.png")) == sorted(roles)


@pytest.mark.parametrize(
    ("split", "each"), [("training", 21), ("calibration", 2), ("validation", 1)]
)
def test_the_shares_are_stratified(tiny_images: Path, split: str, each: int) -> None:
    """Of 24 images a class, 10 % calibrate, 5 % validate and the others train."""
    labels = plan_splits(Folders(tiny_images / "train"), seed=0)[split].labels

    assert labels is not None
    assert [each, each] == np.bincount(labels).tolist()


def test_own_folders_leave_all_of_data_for_training(tiny_images: Path) -> None:
    """With --calibration and --validation nothing is taken from DATA."""
    folders = Folders(
        tiny_images / "train",
        calibration=tiny_images / "calibration",
        validation=tiny_images / "validation",
    )

    assert 48 == len(plan_splits(folders, seed=0)["training"])


def test_a_seed_decides_the_split(tiny_images: Path) -> None:
    """The same seed gives the same split, another one another."""
    folders = Folders(tiny_images / "train")

    first, again, other = (plan_splits(folders, seed)["training"].paths for seed in (0, 0, 1))

    assert first == again
    assert first != other


def test_a_class_of_two_images_trains_and_calibrates(tiny_images: Path, tmp_path: Path) -> None:
    """Two images of a class are one to train on and one to calibrate with, none to validate."""
    for name in ("00.png", "01.png"):
        for label in ("dark", "bright"):
            (tmp_path / label).mkdir(exist_ok=True)
            shutil.copy(tiny_images / "train" / label / name, tmp_path / label / name)

    splits = plan_splits(Folders(tmp_path), seed=0)

    assert (2, 2, 0) == tuple(len(splits[n]) for n in ("training", "calibration", "validation"))


def test_validation_needs_the_training_classes(tiny_images: Path) -> None:
    """A validation folder without class folders is an error that says how to arrange it."""
    folders = Folders(tiny_images / "train", validation=tiny_images / "outliers")

    with pytest.raises(DataError, match="named after the training classes"):
        plan_splits(folders, seed=0)


def test_calibration_images_are_hashed_but_never_decoded(tiny_images: Path, tmp_path: Path) -> None:
    """A calibration file that is no image at all does not disturb training."""
    calibration = tmp_path / "calibration"
    calibration.mkdir()
    (calibration / "a.png").write_bytes(b"not an image")
    folders = Folders(tiny_images / "train", calibration=calibration)

    found = read(folders, tmp_path)

    assert 1 == len(found.splits["calibration"].hashes)
    assert "calibration" not in found.pixels


def test_outliers_that_are_training_images_are_refused(tiny_images: Path, tmp_path: Path) -> None:
    """A copy of a training image under another name is found by its content."""
    shutil.copy(tiny_images / "train" / "dark" / "03.png", tmp_path / "innocent.png")
    shutil.copy(tiny_images / "outliers" / "00.png", tmp_path / "outlier.png")
    folders = Folders(
        tiny_images / "train", tmp_path, tiny_images / "calibration", tiny_images / "validation"
    )

    with pytest.raises(
        DataError, match=r"1 of 2 images of --outliers are training images.*innocent\.png"
    ):
        read(folders, tmp_path)


@pytest.mark.parametrize("role", ["calibration", "validation"])
def test_a_pool_with_another_role_is_refused(tiny_images: Path, tmp_path: Path, role: str) -> None:
    """Unlabelled images must not be calibration or validation images."""
    folders = Folders(
        tiny_images / "train",
        calibration=tiny_images / "calibration",
        validation=tiny_images / "validation",
        unlabelled=tiny_images / role,
    )

    with pytest.raises(DataError, match=f"of --unlabelled are {role} images"):
        read(folders, tmp_path)


@pytest.mark.parametrize("role", ["calibration", "validation"])
def test_outliers_that_have_another_role_are_refused(
    tiny_images: Path, tmp_path: Path, role: str
) -> None:
    """Outliers must not be calibration or validation images either."""
    folders = Folders(
        tiny_images / "train",
        tiny_images / role,
        tiny_images / "calibration",
        tiny_images / "validation",
    )

    with pytest.raises(DataError, match=f"of --outliers are {role} images"):
        read(folders, tmp_path)


def test_own_calibration_images_must_not_be_trained_on(tiny_images: Path, tmp_path: Path) -> None:
    """A calibration folder with a training image in it is an error naming the count."""
    shutil.copy(tiny_images / "train" / "dark" / "03.png", tmp_path / "a.png")

    both = f"'{tmp_path / 'a.png'}' is '{tiny_images / 'train' / 'dark' / '03.png'}'"
    with pytest.raises(
        DataError, match=f"1 of 1 calibration images are also training images: {both}"
    ):
        read(Folders(tiny_images / "train", calibration=tmp_path), tmp_path)


def test_a_finished_network_was_trained_on_all_of_its_images(tiny_images: Path) -> None:
    """Nothing is split off, every file has its hash, and labels come from the class folders."""
    outliers, calibration = tiny_images / "outliers", tiny_images / "calibration"

    splits = read_splits(TrainedOn(tiny_images / "train", calibration, outliers))

    assert (48, 20, 12) == tuple(len(splits[n]) for n in ("training", "calibration", "outliers"))
    for images in splits.values():
        assert [content_hash(path.read_bytes()) for path in images.paths] == list(images.hashes)
    assert splits["calibration"].labels is not None


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("calibration", "1 of 1 calibration images"),
        ("outliers", "1 of 1 images of --outliers are training"),
    ],
)
def test_images_of_a_finished_network_have_one_role(
    tiny_images: Path, tmp_path: Path, role: str, message: str
) -> None:
    """A copy of a training image is refused among calibration images and outliers."""
    shutil.copy(tiny_images / "train" / "dark" / "03.png", tmp_path / "a.png")
    images = TrainedOn(tiny_images / "train", tiny_images / "calibration")

    with pytest.raises(DataError, match=message):
        read_splits(replace(images, **{role: tmp_path}))


def test_copies_inside_data_leave_the_default_splits(tiny_images: Path, tmp_path: Path) -> None:
    """A class that holds the same image many times does not calibrate on what it trained on."""
    data = tmp_path / "data"
    shutil.copytree(tiny_images / "train", data)
    for index in range(20):
        shutil.copy(data / "dark" / "00.png", data / "dark" / f"copy{index:02d}.png")

    found = read(Folders(data), tmp_path)

    trained = set(found.splits["training"].hashes)
    assert not trained & {*found.splits["calibration"].hashes, *found.splits["validation"].hashes}
    assert len(found.splits["validation"]) == len(found.pixels["validation"])
    note = next(note for note in found.notes if "copies of training images" in note)
    named = Path(note.split("'")[1])
    assert content_hash(named.read_bytes()) in found.splits["training"].hashes


def test_a_broken_training_image_is_named(tiny_images: Path, tmp_path: Path) -> None:
    """Training stops at an image that cannot be decoded, with its path in the message."""
    data = tmp_path / "data"
    shutil.copytree(tiny_images / "train", data)
    broken = data / "dark" / "00.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    folders = Folders(data, None, tiny_images / "calibration", tiny_images / "validation")

    with pytest.raises(DataError, match=r"cannot decode .*dark/00\.png"):
        read(folders, tmp_path)


def test_progress_counts_every_decoded_image(tiny_images: Path, tmp_path: Path) -> None:
    """The callback hears of each decoded image and of the right total."""
    heard: list[tuple[int, int]] = []
    folders = Folders(tiny_images / "train", calibration=tiny_images / "calibration")

    reading = Reading(on_image=lambda *c: heard.append(c))
    read_training_set(folders, Preprocess(SIDE), 0, tmp_path, reading=reading)

    assert [(done + 1, 48) for done in range(48)] == heard


def test_splits_of_relative_folders_are_absolute(
    tiny_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run can be exported from another working directory."""
    monkeypatch.chdir(tiny_images)

    splits = plan_splits(replace(Folders(Path("train")), outliers=Path("outliers")), seed=0)

    assert all(p.is_absolute() for s in splits.values() for p in s.paths)
