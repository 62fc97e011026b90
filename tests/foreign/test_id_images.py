"""Which images decide what, for a classifier whose training nobody tells about."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_ood.errors import DataError
from edge_ood.foreign.id_images import IdFolders, read_id_images
from edge_ood.images.reading import content_hash
from edge_ood.images.splits import halves_by_hash

SORTED = ("bright", "dark")


def listed(folder: Path, text: str) -> Path:
    path = folder / "classes.txt"
    path.write_text(text, "utf-8")
    return path


def test_training_images_decide_and_calibration_images_calibrate(tiny_images: Path) -> None:
    """With training images nothing is taken from the calibration images."""
    found = read_id_images(IdFolders(tiny_images / "calibration", tiny_images / "train"))

    assert ("training", 48, 20) == (found.role, len(found.deciding), len(found.calibration))
    assert SORTED == found.classes == found.deciding.classes
    expected = [content_hash(path.read_bytes()) for path in found.deciding.paths]
    assert expected == list(found.deciding.hashes)


def test_labelled_calibration_images_are_halved_by_hash(tiny_images: Path) -> None:
    """One half decides, the other calibrates, and no image is in both."""
    found = read_id_images(IdFolders(tiny_images / "calibration"))

    hashes = np.array(sorted({*found.deciding.hashes, *found.calibration.hashes}))
    assert ("statistics", SORTED, 20) == (found.role, found.classes, len(hashes))
    assert set(hashes[halves_by_hash(hashes.tolist())]) == set(found.deciding.hashes)
    assert not {*found.deciding.hashes} & {*found.calibration.hashes}
    for images in (found.deciding, found.calibration):
        assert images.labels is not None
        expected = [SORTED.index(path.parent.name) for path in images.paths]
        assert expected == images.labels.tolist()


@pytest.mark.parametrize("folder", ["outliers", "calibration/dark"])
def test_unlabelled_images_all_calibrate(folder: str, tiny_images: Path) -> None:
    """Where nothing can be decided, nothing is held back."""
    found = read_id_images(IdFolders(tiny_images / folder))

    assert ("calibration", ()) == (found.role, found.classes)
    assert found.deciding == found.calibration
    assert found.calibration.labels is None


def test_a_list_gives_names_and_their_order(tiny_images: Path, tmp_path: Path) -> None:
    """Labels are positions in the list, which may have classes without images."""
    classes = listed(tmp_path, "dark\n dim \nbright\n\n")

    found = read_id_images(IdFolders(tiny_images / "calibration", tiny_images / "train", classes))

    assert ("dark", "dim", "bright") == found.classes
    for images in (found.deciding, found.calibration):
        assert images.labels is not None
        expected = [found.classes.index(path.parent.name) for path in images.paths]
        assert expected == images.labels.tolist()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_list_from_windows_gives_the_same_names(
    encoding: str, tiny_images: Path, tmp_path: Path
) -> None:
    """Byte order marks, UTF-16 and CRLF are no part of a name."""
    path = tmp_path / "classes.txt"
    path.write_bytes("dark\r\nbright\r\n".encode(encoding))

    assert ("dark", "bright") == read_id_images(
        IdFolders(tiny_images / "calibration", classes=path)
    ).classes


def test_a_list_without_labels_still_names(tiny_images: Path, tmp_path: Path) -> None:
    """Unlabelled images and a list: the names are those of the list."""
    found = read_id_images(
        IdFolders(tiny_images / "outliers", classes=listed(tmp_path, "dark\nbright"))
    )

    assert ("calibration", ("dark", "bright")) == (found.role, found.classes)


def test_calibration_images_that_were_trained_on_are_refused(
    tiny_images: Path, tmp_path: Path
) -> None:
    """By content, whatever they are called."""
    shutil.copytree(tiny_images / "calibration", tmp_path / "calibration")
    copied = next((tiny_images / "train" / "dark").iterdir())
    shutil.copy(copied, tmp_path / "calibration" / "dark" / "other.png")

    both = f"'{tmp_path / 'calibration' / 'dark' / 'other.png'}' is '{copied}'"
    with pytest.raises(
        DataError, match=f"1 of 21 calibration images are also training images: {both}"
    ):
        read_id_images(IdFolders(tmp_path / "calibration", tiny_images / "train"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dark\nbright\ndark\n", "'dark' twice"),
        ("caf\u00e9\nbright\ncafe\u0301\n", "'caf\u00e9' twice"),
        ("dark\n", "1 lines"),
        ("", "0 lines"),
        ("dark\n\nbright\n", "3 lines, empty ones included"),
        ("dark\nlight\n", "has 'bright', which is not among the 2 class names"),
        ("dark\nBright\n", "'bright' and 'Bright', which differ"),
    ],
)
def test_lists_that_name_no_classes_are_refused(
    text: str, message: str, tiny_images: Path, tmp_path: Path
) -> None:
    """The error shows what is wrong with the list, or with the folders."""
    folders = IdFolders(tiny_images / "calibration", tiny_images / "train", listed(tmp_path, text))

    with pytest.raises(DataError, match=message) as caught:
        read_id_images(folders)

    assert caught.value.hint


@pytest.mark.parametrize("kind", ["missing", "binary"])
def test_a_list_that_cannot_be_read_is_refused(
    kind: str, tiny_images: Path, tmp_path: Path
) -> None:
    """No stack trace."""
    path = tmp_path / "classes.txt"
    if kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DataError, match=r"cannot read|is not UTF-8"):
        read_id_images(IdFolders(tiny_images / "calibration", classes=path))


def test_copies_count_once(tiny_images: Path, tmp_path: Path) -> None:
    """Among training and among calibration images, and each is said."""
    data = Path(shutil.copytree(tiny_images, tmp_path / "data"))
    for name in ("train", "calibration"):
        shutil.copy(data / name / "dark" / "00.png", data / name / "dark" / "copy.png")

    found = read_id_images(IdFolders(data / "calibration", data / "train"))

    assert (48, 20) == (len(found.deciding), len(found.calibration))
    assert [
        "left out, as copies among the training images: 1 of 49",
        "left out, as copies among the calibration images: 1 of 21",
    ] == [note.partition(", the first")[0] for note in found.notes]


def test_calibration_images_under_two_labels_decide_nothing(
    tiny_images: Path, tmp_path: Path
) -> None:
    """Both files of one are left out of both halves."""
    data = Path(shutil.copytree(tiny_images / "calibration", tmp_path / "data"))
    shutil.copy(data / "dark" / "00.png", data / "bright" / "x.png")

    found = read_id_images(IdFolders(data))

    assert 19 == len(found.deciding) + len(found.calibration)
    assert "as one image under two labels: 2 files of 1 images" in found.notes[0]


def test_training_images_under_two_labels_have_been_trained_on(
    tiny_images: Path, tmp_path: Path
) -> None:
    """They stay, and are named."""
    data = Path(shutil.copytree(tiny_images / "train", tmp_path / "data"))
    shutil.copy(data / "dark" / "00.png", data / "bright" / "x.png")

    found = read_id_images(IdFolders(tiny_images / "calibration", data))

    assert 49 == len(found.deciding)
    assert found.notes[0].startswith("trained on, as one image under two labels")


def test_folders_of_splits_are_no_classes_of_calibration_images(
    tiny_images: Path, tmp_path: Path
) -> None:
    """They would tell the network how it is fed."""
    for name in ("train", "validation"):
        shutil.copytree(tiny_images / "calibration", tmp_path / name)

    with pytest.raises(DataError, match="holds splits and no classes"):
        read_id_images(IdFolders(tmp_path))
