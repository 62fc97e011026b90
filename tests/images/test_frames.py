"""Pictures of every library as frames: what each is by Pillow, NumPy and torch."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from edge_ood.errors import DataError, InputError, ShapeError
from edge_ood.images.frames import frames_of, is_picture

LEVELS = np.arange(256, dtype=np.uint8)
ORIENTATION = 0x0112


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """Two frames of noise, higher than they are wide."""
    return np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), np.uint8)


def test_bytes_are_not_copied(pixels: NDArray[np.uint8]) -> None:
    """A frame or a stack of them is a view of what was given."""
    assert np.shares_memory(pixels, frames_of(pixels))
    assert (1, 9, 7, 3) == frames_of(pixels[0]).shape


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_bytes_are_the_bytes(dtype: type) -> None:
    """Each of the 256 levels comes back, in half precision, too."""
    levels = LEVELS.reshape(16, 16, 1).repeat(3, axis=2)
    floats = levels.astype(dtype) / dtype(255)
    floats.flags.writeable = False

    assert np.array_equal(levels[None], frames_of(floats))


def test_floats_between_two_levels_are_the_nearer_one() -> None:
    """Not the lower one, as a cast would have it."""
    below, above = (np.full((1, 1, 3), (100 + part) / 255) for part in (0.4, 0.6))

    assert [100, 101] == [frames_of(floats).max() for floats in (below, above)]


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "YCbCr", "HSV", "RGB"])
def test_a_pillow_image_is_what_pillow_converts(mode: str, pixels: NDArray[np.uint8]) -> None:
    """Of every mode without transparency."""
    image = Image.fromarray(pixels[0]).convert(mode)

    assert np.array_equal(np.asarray(image.convert("RGB"))[None], frames_of(image))


def test_transparency_is_laid_on_white(pixels: NDArray[np.uint8]) -> None:
    """As Pillow composes it."""
    image = Image.fromarray(pixels[0]).convert("RGBA")
    image.putalpha(Image.fromarray(pixels[1, ..., 0]))
    white = Image.new("RGBA", image.size, "white")

    expected = np.asarray(Image.alpha_composite(white, image).convert("RGB"))

    assert np.array_equal(expected[None], frames_of(image))


def test_grey_of_16_bits_keeps_its_high_byte() -> None:
    """White is 65535, not what Pillow cuts off at 255."""
    image = Image.fromarray(LEVELS.reshape(16, 16).astype(np.uint16) * 257)

    assert np.array_equal(LEVELS, frames_of(image)[0, ..., 1].ravel())


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_pillow_image_is_upright(orientation: int, pixels: NDArray[np.uint8]) -> None:
    """By its EXIF orientation, as `ImageOps.exif_transpose` turns it."""
    image = Image.fromarray(pixels[0])
    image.getexif()[ORIENTATION] = orientation

    expected = np.asarray(ImageOps.exif_transpose(image))

    assert np.array_equal(expected[None], frames_of(image))


@pytest.mark.parametrize("scale", [1, 255])
def test_a_tensor_has_its_channels_first(scale: int, pixels: NDArray[np.uint8]) -> None:
    """As torch has images, of bytes or of floats, a batch or one of them."""
    torch = pytest.importorskip("torch")
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    tensor = batch if scale == 1 else batch.float() / scale

    assert np.array_equal(pixels, frames_of(tensor))
    assert np.array_equal(pixels[1:], frames_of(tensor[1]))


def test_a_tensor_may_have_its_channels_last(pixels: NDArray[np.uint8]) -> None:
    """Where only the last side is three."""
    torch = pytest.importorskip("torch")

    assert np.array_equal(pixels, frames_of(torch.from_numpy(pixels)))


@pytest.mark.parametrize("shape", [(3, 9, 3), (2, 3, 9, 3), (3, 3, 3)])
def test_a_tensor_with_two_sides_of_three_is_refused(shape: tuple[int, ...]) -> None:
    """Its channels may be either."""
    torch = pytest.importorskip("torch")

    with pytest.raises(ShapeError, match="may have its channels first or last") as refused:
        frames_of(torch.zeros(shape, dtype=torch.uint8))

    assert "NumPy arrays have them last" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (np.zeros((3, 9, 7), np.uint8), lambda images: np.moveaxis(images, -3, -1)),
        (np.zeros((2, 3, 9, 7)), lambda images: np.moveaxis(images, -3, -1)),
        (np.zeros((9, 7), np.uint8), lambda images: np.stack([images] * 3, axis=-1)),
        (np.zeros((2, 9, 7)), lambda images: np.stack([images] * 3, axis=-1)),
        (np.zeros((9, 7, 1), np.uint8), lambda images: np.repeat(images, 3, axis=-1)),
        (np.zeros((2, 9, 7, 4), np.uint8), lambda images: images[..., :3]),
        (np.zeros((9, 7, 3), np.int64), lambda images: images.astype(np.uint8)),
        (np.zeros((9, 7, 3), np.bool_), lambda images: images.astype(np.float32)),
    ],
    ids=lambda value: str(getattr(value, "shape", "")),
)
def test_the_hint_of_a_shape_or_dtype_helps(
    array: NDArray[Any], hint: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    """The error names what arrived, and following its hint gives frames."""
    with pytest.raises(
        ShapeError, match=rf"images are {array.dtype} \({array.shape[0]}"
    ) as refused:
        frames_of(array)

    words = ("moveaxis", "stack", "repeat", ":3]", "convert")
    (named,) = (word for word in words if word in str(refused.value.hint))
    assert (named == "convert") == (array.shape[-1] == 3)
    assert (9, 7, 3) == frames_of(hint(array)).shape[1:]


@pytest.mark.parametrize("shape", [(), (3,), (1, 1, 9, 7, 3), (0, 9, 7, 3), (2, 0, 7, 3)])
def test_what_is_no_image_is_a_shape_error(shape: tuple[int, ...]) -> None:
    """With fewer or more sides, or an empty one."""
    with pytest.raises(ShapeError, match="images are uint8"):
        frames_of(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ([0, 255], "from 0 to 255", "uint8"),
        ([-2.1, 2.6], "from -2.1 to 2.6", "before they are normalised"),
        ([-1e-7, 1], "from -1e-07 to 1", "clip"),
        ([0, 1.001], "from 0 to 1.001", "clip"),
        ([0, np.inf], "from 0 to inf", "uint8"),
        ([0.5, np.nan], "with NaN", "isnan"),
    ],
)
def test_floats_beyond_their_range_are_refused(
    values: list[float], message: str, hint: str
) -> None:
    """Whatever they were meant to be, and the hint says what they look like."""
    floats = np.resize(np.float64(values), (9, 7, 3))

    with pytest.raises(InputError, match=f"pixels are float64 {message}, expected") as refused:
        frames_of(floats)

    assert hint in str(refused.value.hint)


def test_a_damaged_image_is_a_data_error(pixels: NDArray[np.uint8]) -> None:
    """Pillow opens it and finds out only when the pixels are asked for."""
    file = io.BytesIO()
    Image.fromarray(pixels[0]).resize((90, 90)).save(file, "PNG")
    image = Image.open(io.BytesIO(file.getvalue()[:200]))

    with pytest.raises(DataError, match="cannot decode the image: "):
        frames_of(image)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (np.zeros(1), True),
        (Image.new("L", (1, 1)), True),
        ("a.png", False),
        (np.str_("a.png"), False),
        ([[1]], False),
        (None, False),
    ],
)
def test_pictures_are_told_from_paths(item: Any, expected: bool) -> None:
    """A text of NumPy is a path."""
    assert expected == is_picture(item)
