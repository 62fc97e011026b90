"""Class names in two Unicode forms are one class; names that only look the same are an error."""

import re
from pathlib import Path

import pytest

from edge_ood.errors import DataError
from edge_ood.images.class_names import class_positions
from edge_ood.images.folders import read_class_folders, read_images

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"  # NFC, and NFD as a Mac writes it


def folders(root: Path, *names: str) -> Path:
    """Class folders with two empty images each."""
    for name in names:
        (root / name).mkdir()
        for index in range(2):
            (root / name / f"{index}.png").touch()
    return root


def test_the_same_name_in_another_form_is_found_and_the_exact_one_first() -> None:
    """Positions count in the order of the classes; what is not among them is left out."""
    assert {DECOMPOSED: 1, "tea": 0} == class_positions(
        [DECOMPOSED, "tea", "milk"], ["tea", COMPOSED]
    )
    assert {DECOMPOSED: 0} == class_positions([DECOMPOSED], [DECOMPOSED, COMPOSED])


@pytest.mark.parametrize(("on_disk", "known"), [(DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)])
def test_folders_match_classes_in_either_form(tmp_path: Path, on_disk: str, known: str) -> None:
    """The classes keep the form in which they are known."""
    images = read_images(folders(tmp_path, on_disk, "tea"), ("tea", known))

    assert images.labels is not None
    assert [1, 1, 0, 0] == images.labels.tolist()
    assert ("tea", known) == images.classes


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        (COMPOSED, DECOMPOSED, (r"'cafe\u0301'", r"'caf\xe9'")),
        ("Cat", "cat", ("'Cat'", "'cat'")),
        ("cat", "cat ", ("'cat'", "'cat '")),
        ("STRASSE", "straße", ("'STRASSE'", "'straße'")),
    ],
)
def test_folders_that_look_the_same_are_named(
    tmp_path: Path, first: str, second: str, shown: tuple[str, str]
) -> None:
    """Two forms, cases or blanks at the end would be two classes to the trained network."""
    with pytest.raises(DataError, match=re.escape(f"{shown[0]} and {shown[1]}, which differ")):
        read_class_folders(folders(tmp_path, first, second))


@pytest.mark.parametrize("name", ["Cat", "CAT", "cat ", " cat"])
def test_a_folder_that_nearly_bears_a_class_name_is_named(tmp_path: Path, name: str) -> None:
    """It would make all images unlabelled in silence."""
    message = re.escape(f"has the folder and the classes have {name!r} and 'cat', which differ")
    with pytest.raises(DataError, match=message):
        read_images(folders(tmp_path, name, "dog"), ("cat", "dog"))


def test_one_class_in_two_forms_of_folders_is_refused(tmp_path: Path) -> None:
    """Whichever of the two was meant."""
    root = folders(tmp_path, COMPOSED, DECOMPOSED)

    with pytest.raises(DataError, match=r"class folders 'cafe.*' and 'caf.*', which differ"):
        read_images(root, (COMPOSED, "tea"))


def test_classes_of_one_letter_in_two_cases_are_matched_exactly(tmp_path: Path) -> None:
    """Where both are known, as letters are, neither is taken for the other."""
    images = read_images(folders(tmp_path, "A", "a"), ("a", "A"))

    assert images.labels is not None
    assert [1, 1, 0, 0] == images.labels.tolist()


def test_other_folders_are_no_classes(tmp_path: Path) -> None:
    """A name that is like none leaves all images unlabelled, as before."""
    assert read_images(folders(tmp_path, "cat", "cats"), ("cat", "dog")).labels is None
