"""Folders of splits inside a folder, and what only looks like them."""

from pathlib import Path

import pytest

from edge_ood.errors import DataError
from edge_ood.images.split_folders import SplitFolders, split_folders


def make(root: Path, *files: str) -> Path:
    """Files without content: only names are looked at."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


BOTH = ("train/cat/1.jpg", "train/dog/1.jpg")


@pytest.mark.parametrize(
    ("files", "validation", "test"),
    [
        ((*BOTH, "val/cat/2.jpg", "val/dog/2.jpg", "test/cat/3.jpg"), "val", "test"),
        ((*BOTH, "valid/cat/2.jpg", "valid/dog/2.jpg"), "valid", None),
        ((*BOTH, "validation/cat/2.jpg", ".hidden/x.jpg", "notes/readme.txt"), "validation", None),
        ((*BOTH, "test/dog/a/b/3.jpg"), None, "test"),
        (BOTH, None, None),
    ],
)
def test_splits_are_recognised(
    tmp_path: Path, files: tuple[str, ...], validation: str | None, test: str | None
) -> None:
    """Train needs to be there, the others may; folders without images do not count."""
    make(tmp_path, *files)

    found = split_folders(tmp_path)

    paths = [None if name is None else tmp_path / name for name in (validation, test)]
    assert SplitFolders(tmp_path / "train", *paths) == found


def test_capitals_and_long_names_are_recognised(tmp_path: Path) -> None:
    """Training and Test are splits as train and test are."""
    make(tmp_path, "Training/cat/1.jpg", "Training/dog/1.jpg", "Test/cat/1.jpg")

    assert SplitFolders(tmp_path / "Training", None, tmp_path / "Test") == split_folders(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        ("cat/1.jpg", "dog/1.jpg"),
        ("train/1.jpg", "test/1.jpg"),
        (*BOTH, "train/stray.jpg"),
        (*BOTH, "stray.jpg"),
        (*BOTH, "bus/1.jpg"),
        (*BOTH, "val/cat/1.jpg", "valid/cat/1.jpg"),
        ("val/cat/1.jpg", "test/cat/1.jpg"),
    ],
)
def test_anything_else_is_left_to_others(tmp_path: Path, files: tuple[str, ...]) -> None:
    """Images without a class, other folders, two folders of one role and no train are no splits."""
    assert split_folders(make(tmp_path, *files)) is None


def test_a_folder_that_is_not_there_holds_no_splits(tmp_path: Path) -> None:
    """The error about it comes from whoever reads it."""
    assert split_folders(tmp_path / "nowhere") is None


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_nobody_trains_is_an_error(tmp_path: Path, split: str) -> None:
    """The message has the class and both folders."""
    make(tmp_path, *BOTH, f"{split}/cat/2.jpg", f"{split}/fox/2.jpg")

    with pytest.raises(DataError, match=rf"{split}' has classes that '.*train' has not: 'fox'"):
        split_folders(tmp_path)


def test_unicode_forms_of_a_class_are_one(tmp_path: Path) -> None:
    """A split from a Mac has the same classes."""
    make(tmp_path, "train/caf\u00e9/1.jpg", "train/dog/1.jpg", "val/cafe\u0301/1.jpg")

    found = split_folders(tmp_path)

    assert found is not None
    assert tmp_path / "val" == found.validation
