"""Folders that would become classes and are none are refused, with the folder to give instead."""

from pathlib import Path

import pytest

from edge_ood.errors import DataError
from edge_ood.images.folders import read_class_folders


def make(root: Path, *folders: str) -> Path:
    """Two empty files in each folder: finding them does not open them."""
    for folder in folders:
        (root / folder).mkdir(parents=True)
        (root / folder / "1.png").touch()
        (root / folder / "2.png").touch()
    return root


@pytest.mark.parametrize(
    ("tops", "hint"),
    [
        (("train", "val"), "give 'R/train', and 'R/val' to 'edge-ood train' as --validation"),
        (("Training", "testing"), "give 'R/Training'; 'R/testing' is for 'edge-ood evaluate --id'"),
        (("test", "valid"), "give the folder that holds the class folders to train on"),
    ],
)
def test_folders_of_splits_are_no_classes(tmp_path: Path, tops: tuple[str, ...], hint: str) -> None:
    """Whatever the splits are called, the hint has the one to train on and what the others are."""
    make(tmp_path, *(f"{top}/{name}" for top in tops for name in ("cat", "dog")))

    with pytest.raises(DataError, match="holds splits and no classes") as caught:
        read_class_folders(tmp_path)

    assert hint == caught.value.hint.replace(str(tmp_path), "R")


def test_splits_beside_other_folders_are_no_classes(tmp_path: Path) -> None:
    """Where train and val hold the same folders, a third folder does not make classes of them."""
    make(tmp_path, "train/cat", "train/dog", "val/cat", "val/dog", "extra")

    with pytest.raises(DataError, match="holds splits, and more folders beside them") as caught:
        read_class_folders(tmp_path)

    assert f"give '{tmp_path}/train', and '{tmp_path}/val'" in caught.value.hint


def test_a_class_may_be_called_as_a_split_is(tmp_path: Path) -> None:
    """A train is a vehicle, too, where the other folders are no splits."""
    make(tmp_path, "bus", "train")

    assert ("bus", "train") == read_class_folders(tmp_path).classes


def test_folders_that_hold_only_folders_that_repeat_are_refused(tmp_path: Path) -> None:
    """Two cameras with the same classes: a network would learn to tell the cameras apart."""
    make(tmp_path, "east/cat", "east/dog", "west/cat", "west/dog", "west/owl")

    with pytest.raises(DataError, match=r"these repeat: 'cat', 'dog'$") as caught:
        read_class_folders(tmp_path)

    assert f"give one folder, such as '{tmp_path}/east'" in caught.value.hint
    assert "if 'east', 'west' are, move their images up" in caught.value.hint


@pytest.mark.parametrize(
    "folders",
    [
        ("cat/day", "cat/night", "dog/summer", "dog/winter"),
        ("cat/images", "dog/images"),
        ("cat", "cat/day", "cat/night", "dog/day", "dog/night"),
    ],
)
def test_other_folders_in_class_folders_are_part_of_the_class(
    tmp_path: Path, folders: tuple[str, ...]
) -> None:
    """Folders of other names, one alone, and folders beside images."""
    assert ("cat", "dog") == read_class_folders(make(tmp_path, *folders)).classes


@pytest.mark.parametrize("above", ["images", "a/b"])
def test_a_single_folder_above_the_classes_is_named(tmp_path: Path, above: str) -> None:
    """The hint has the folder that holds the class folders, however deep."""
    make(tmp_path, f"{above}/cat", f"{above}/dog")

    with pytest.raises(DataError, match="holds 1 class folder") as caught:
        read_class_folders(tmp_path)

    assert f"give '{tmp_path / above}', which holds 2 folders" == caught.value.hint


def test_a_single_class_is_no_level_too_many(tmp_path: Path) -> None:
    """One folder of images has no level below."""
    with pytest.raises(DataError, match="holds 1 class folder") as caught:
        read_class_folders(make(tmp_path, "cat"))

    assert "arrange the images as DATA/<class>/<file>" == caught.value.hint
