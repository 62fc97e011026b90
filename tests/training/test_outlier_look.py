"""Outliers that differ in size, sharpness or codec are said to."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from edge_ood.images.folders import ImageSet
from edge_ood.training.outlier_look import outliers_note, sharpness
from edge_ood.training.pixels import Pixels
from edge_ood.training.training_set import TrainingSet

SIDE = 48


def photographs(count: int, seed: int) -> list[Image.Image]:
    """Smooth scenes with edges and a little noise."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        coarse = generator.integers(0, 256, (6, 6, 3), np.uint8)
        scene = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        noise = generator.normal(0, 4, (SIDE, SIDE, 3))
        made.append(Image.fromarray(np.clip(np.asarray(scene) + noise, 0, 255).astype(np.uint8)))
    return made


def as_set(folder: Path, images: list[Image.Image], ending: str = "jpg") -> tuple[ImageSet, Pixels]:
    folder.mkdir()
    paths = tuple(folder / f"{index}.{ending}" for index in range(len(images)))
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    pixels = np.stack(
        [np.asarray(i.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for i in images]
    )
    return ImageSet(paths), Pixels(pixels, np.arange(len(images)))


def note_of(folder: Path, outliers: list[Image.Image], ending: str = "jpg") -> str:
    known, known_pixels = as_set(folder / "known", photographs(12, 0))
    others, other_pixels = as_set(folder / "others", outliers, ending)
    (note,) = outliers_note(
        TrainingSet(
            {"training": known, "outliers": others},
            {"training": known_pixels, "outliers": other_pixels},
        )
    ) or ("",)
    return note


def test_outliers_of_the_same_kind_are_not_mentioned(tmp_path: Path) -> None:
    """Other scenes, taken in the same way."""
    assert "" == note_of(tmp_path, photographs(12, 1))


def test_enlarged_thumbnails_are(tmp_path: Path) -> None:
    """Half the side, so that they are blurred at the network's size."""
    small = [image.resize((SIDE // 2 - 4,) * 2) for image in photographs(12, 1)]

    note = note_of(tmp_path, small)

    assert f"their short side is {SIDE // 2 - 4} px, not {SIDE}" in note
    assert "of the sharpness" in note


def test_a_blur_alone_is_enough(tmp_path: Path) -> None:
    """Of the same size and codec."""
    blurred = [image.filter(ImageFilter.GaussianBlur(2)) for image in photographs(12, 1)]

    note = note_of(tmp_path, blurred)

    assert "of the sharpness" in note
    assert "short side" not in note


def test_another_codec_is_named(tmp_path: Path) -> None:
    """PNG has none of JPEG's traces; what counts is the file's content, not its name."""
    assert "most are PNG, not JPEG" in note_of(tmp_path, photographs(12, 1), "png")


def test_no_outliers_nothing_to_say(tmp_path: Path) -> None:
    """Most runs have none."""
    known, pixels = as_set(tmp_path / "known", photographs(3, 0))
    splits = {"training": known, "outliers": ImageSet(())}

    assert () == outliers_note(TrainingSet(splits, {"training": pixels}))


@pytest.mark.parametrize("waves", [1, 5, 20])
def test_sharpness_of_a_cosine_has_a_closed_form(waves: int) -> None:
    """The Laplacian multiplies it by 2 cos(w) - 2, but for the rounding of grey levels."""
    frequency = np.pi * waves / SIDE
    wave = np.cos(frequency * (np.arange(SIDE) + 0.5))
    image = np.round(128 + 100 * wave)[None, None, :, None] * np.ones((1, SIDE, 1, 3))

    (found,) = sharpness(image.astype(np.uint8))

    assert (2 * np.cos(frequency) - 2) ** 2 == pytest.approx(found, rel=0.02, abs=1e-4)


@pytest.mark.parametrize("level", [0, 255])
def test_an_image_of_one_level_has_none(level: int) -> None:
    """Nothing is divided by zero."""
    assert 0 == sharpness(np.full((1, 8, 8, 3), level, np.uint8))[0]
