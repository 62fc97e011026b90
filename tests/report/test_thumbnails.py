"""Thumbnails: upright, whole, small, and None for what is no image."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from edge_ood.report.thumbnails import thumbnail, thumbnail_of

ORIENTATION = 0x0112


def opened(uri: str | None) -> Image.Image:
    """The picture in a data URI."""
    assert uri is not None
    head, _, content = uri.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(content, validate=True)))
    assert f"data:image/{image.format.lower()}" == head
    return image.convert("RGB")


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((400, 300), (96, 72)),
        ((300, 400), (72, 96)),
        ((4000, 10), (96, 1)),
        ((96, 96), (96, 96)),
        ((97, 97), (96, 96)),
        ((49, 20), (49, 20)),
        ((32, 32), (96, 96)),
        ((28, 7), (84, 21)),
        ((1, 1), (96, 96)),
    ],
)
def test_a_thumbnail_is_the_whole_picture(
    size: tuple[int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    """The longer side is 96 px, or a whole multiple of its own."""
    Image.new("RGB", size, "red").save(tmp_path / "a.png")

    assert expected == opened(thumbnail(tmp_path / "a.png")).size


def test_tiny_pictures_keep_their_pixels() -> None:
    """Each becomes a square of its colour."""
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 1] = picture[1, 0] = 255

    shown = np.asarray(opened(thumbnail_of(picture, side_px=8)))

    assert np.array_equal(np.kron(picture, np.ones((4, 4, 1), np.uint8)), shown)


def test_a_thumbnail_is_upright(tmp_path: Path) -> None:
    """EXIF orientation is applied, and is not in the thumbnail as well."""
    picture = Image.new("RGB", (60, 30), "red")
    picture.paste("blue", (0, 0, 30, 30))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)

    shown = opened(thumbnail(tmp_path / "a.jpg", side_px=60))

    assert (30, 60) == shown.size
    assert shown.getpixel((15, 15))[2] > 200
    assert shown.getpixel((15, 45))[0] > 200
    assert {} == dict(shown.getexif())


@pytest.mark.parametrize(("kind", "side"), [("jpeg", 300), ("png", 300), ("png", 10)])
def test_a_thumbnail_has_pixels_alone(kind: str, side: int, tmp_path: Path) -> None:
    """No comment, profile or place where the photograph was taken gets into a page."""
    exif = Image.Exif()
    exif[0x010E] = "secret"
    text = PngInfo()
    text.add_text("Comment", "secret")
    path = tmp_path / f"a.{kind}"
    own = {"comment": "secret"} if kind == "jpeg" else {"pnginfo": text}
    picture = Image.fromarray(noise(side, side))
    picture.save(path, exif=exif, icc_profile=b"secret" * 50, **own)

    uri = thumbnail(path) or ""

    assert {"jfif", "jfif_version", "jfif_unit", "jfif_density"} >= set(
        Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).info
    )


def test_photographs_and_drawings_stay_small() -> None:
    """A photograph is a JPEG, a drawing a PNG."""
    photograph = thumbnail_of(noise(400, 300))
    drawing = thumbnail_of(np.zeros((32, 32, 3), np.uint8))

    assert photograph.startswith("data:image/jpeg;")
    assert len(photograph) < 12_000
    assert drawing.startswith("data:image/png;")
    assert len(drawing) < 400


@pytest.mark.parametrize("content", [None, b"", b"text", b"\x89PNG\r\n\x1a\nrest", b"BM"])
def test_what_is_no_image_has_no_thumbnail(content: bytes | None, tmp_path: Path) -> None:
    """A file that is missing, empty, damaged or something else is None."""
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)

    assert thumbnail(path) is None


def test_a_bomb_has_no_thumbnail(tmp_path: Path) -> None:
    """The limits are those of scoring."""
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")

    assert thumbnail(tmp_path / "a.png") is None


def test_a_thumbnail_is_the_same_each_time(tmp_path: Path) -> None:
    """So is the page that it stands in."""
    Image.fromarray(noise(50, 200)).save(tmp_path / "a.png")

    assert thumbnail(tmp_path / "a.png") == thumbnail(tmp_path / "a.png")
