"""Which images of a run count: each once, in one role, under one label; and what is said."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess
from edge_ood.training.fine_tuning import Past
from edge_ood.training.training_set import (
    Folders,
    TrainedOn,
    TrainingSet,
    read_splits,
    read_training_set,
)

SIDE = 8


@pytest.fixture
def folders(tiny_images: Path, tmp_path: Path) -> Folders:
    """48 training, 20 calibration and 10 validation images and 12 outliers, to be changed."""
    data = Path(shutil.copytree(tiny_images, tmp_path / "data"))
    return Folders(data / "train", data / "outliers", data / "calibration", data / "validation")


def read(folders: Folders, scratch: Path, past: Past | None = None) -> TrainingSet:
    return read_training_set(folders, Preprocess(SIDE), 0, scratch, past=past or Past())


@pytest.mark.parametrize(
    ("role", "inside", "images"),
    [
        ("training", "dark", 48),
        ("calibration", "dark", 20),
        ("validation", "dark", 10),
        ("outliers", "", 12),
    ],
)
def test_a_copy_counts_once_in_its_role(
    folders: Folders, tmp_path: Path, role: str, inside: str, images: int
) -> None:
    """It is left out under its own name, which comes later, and pixels follow."""
    folder = getattr(folders, role) / inside
    expected = read(folders, tmp_path).splits[role].paths
    shutil.copy(folder / "00.png", folder / "copy.png")

    found = read(folders, tmp_path)

    assert images == len(found.splits[role])
    assert expected == found.splits[role].paths
    assert (
        f"left out, as copies among the {role} images: 1 of {images + 1},"
        f" the first is '{folder / 'copy.png'}'",
    ) == found.notes


def test_pixels_stay_those_of_their_files(folders: Folders, tmp_path: Path) -> None:
    """What comes after a copy moves up."""
    before = read(folders, tmp_path).pixels["training"][:]
    shutil.copy(folders.training / "bright" / "03.png", folders.training / "bright" / "03b.png")

    after = read(folders, tmp_path).pixels["training"][:]

    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("own", [True, False])
def test_an_image_under_two_labels_is_left_out(folders: Folders, tmp_path: Path, own: bool) -> None:
    """Both files of it, whichever split they would be drawn for; the note has both."""
    one, other = folders.training / "bright" / "x.png", folders.training / "dark" / "05.png"
    shutil.copy(other, one)
    if not own:
        folders = Folders(folders.training)

    found = read(folders, tmp_path)

    used = [path for name in found.splits for path in found.splits[name].paths]
    assert not {one, other} & set(used)
    assert 47 + (42 if own else 0) == len(used)
    (note,) = found.notes
    assert note.startswith("left out, as one image under two labels: 2 files of 1 images")
    assert str(one) in note
    assert str(other) in note


def test_a_class_without_an_image_of_its_own_is_refused(folders: Folders, tmp_path: Path) -> None:
    """Nothing is left to train on."""
    shutil.rmtree(folders.training / "bright")
    (folders.training / "bright").mkdir()
    for name in ("00.png", "01.png"):
        shutil.copy(folders.training / "dark" / name, folders.training / "bright" / name)

    with pytest.raises(DataError, match="class 'bright' has no training image"):
        read(folders, tmp_path)


def test_what_trained_the_first_weights_is_remembered(folders: Folders, tmp_path: Path) -> None:
    """An image that is left out now, as it has two labels, trained the run before."""
    shutil.copy(folders.training / "dark" / "05.png", folders.training / "bright" / "x.png")
    digest = read(folders, tmp_path).splits["training"].hashes
    (tmp_path / "held").mkdir()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "held" / "x.png")
    sources = TrainedOn(folders.training, tmp_path / "held")
    everything = read_splits(sources)["training"]
    (twice,) = set(everything.hashes) - set(digest)

    past = Past(trained_on={twice: folders.training / "dark" / "05.png"})
    found = read(folders, tmp_path, past)

    assert (twice,) == found.splits["pretraining"].hashes


def test_a_finished_network_has_learnt_from_both_labels(folders: Folders) -> None:
    """Such images stay its training images, so that none of them is tested on; they are named."""
    shutil.copy(folders.training / "dark" / "05.png", folders.training / "bright" / "x.png")
    shutil.copy(folders.training / "dark" / "06.png", folders.training / "dark" / "y.png")
    notes: list[str] = []

    images = TrainedOn(folders.training, folders.calibration, folders.outliers)
    splits = read_splits(images, on_note=notes.append)

    assert 49 == len(splits["training"])
    assert ["trained on, as one image under two labels", "left out, as copies among"] == [
        note.partition(":")[0].partition(" the training")[0] for note in notes
    ]


def test_thumbnails_beside_training_images_are_named(folders: Folders, tmp_path: Path) -> None:
    """They are not left out."""
    thumbnails = folders.training / "dark" / "thumbs"
    thumbnails.mkdir()
    content = (folders.training / "dark" / "00.png").read_bytes()
    (thumbnails / "00.png").write_bytes(content + b"\0")

    found = read(folders, tmp_path)

    assert 49 == len(found.splits["training"])
    (note,) = found.notes
    assert note.startswith("1 of 91 images in 1 folder(s) look like thumbnails or previews")
