"""From pixels to network input: crop, resize, normalise, and the document of it all."""

import io

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess

ONE_LEVEL = 1  # Pillow rounds after each of its two passes


def encoded(image):
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def noise(height, width, seed=0):
    """Random pixels: any wrong row, column or channel shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def triangle_resize(image, size):
    """Bilinear antialiased resize of (H, W, 3), one output pixel after the other."""
    for axis in (0, 1):
        length = image.shape[axis]
        ratio = length / size
        reach = max(ratio, 1)
        lines = []
        for position in range(size):
            centre = (position + 0.5) * ratio
            weights = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centre) / reach)
            lines.append(np.tensordot(weights / weights.sum(), image, axes=(0, axis)))
        image = np.stack(lines, axis=axis)
    return image


def test_one_pixel_fills_the_input():
    """The smallest image is one colour."""
    decoded = Preprocess(5).decode(encoded(Image.new("RGB", (1, 1), (1, 2, 3))))

    assert [[[1, 2, 3]] * 5] * 5 == decoded.tolist()


def test_one_pixel_high_image_is_cropped_to_its_centre():
    """4000 x 1 pixels become the one at 1999, the left of the two in the middle."""
    row = noise(1, 4000)

    decoded = Preprocess(3).decode(encoded(Image.fromarray(row)))

    assert [[row[0, 1999].tolist()] * 3] * 3 == decoded.tolist()


@pytest.mark.parametrize("resize", ["center-crop", "stretch"])
def test_right_size_is_the_identity(resize):
    """At the right size not one bit changes."""
    pixels = noise(16, 16)

    decoded = Preprocess(16, resize=resize).decode(encoded(Image.fromarray(pixels)))

    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize(
    ("height", "width", "top", "left"),
    [(6, 9, 0, 1), (6, 10, 0, 2), (9, 6, 1, 0), (13, 6, 3, 0), (6, 6, 0, 0)],
)
def test_centre_crop_arithmetic(height, width, top, left):
    """The margin is halved and rounded down, so an odd pixel is cut off at the far side."""
    pixels = noise(height, width)

    decoded = Preprocess(6).decode(encoded(Image.fromarray(pixels)))

    np.testing.assert_array_equal(decoded, pixels[top : top + 6, left : left + 6])


@pytest.mark.parametrize("size", [3, 8, 31])
def test_stretch_is_bilinear_and_antialiased(size):
    """The whole image is resized with a triangle filter as wide as the reduction."""
    pixels = noise(20, 13)

    fitted = Preprocess(size, resize="stretch").fit(pixels)

    np.testing.assert_allclose(fitted, triangle_resize(pixels.astype(float), size), atol=ONE_LEVEL)


@pytest.mark.parametrize("size", [3, 8, 31])
def test_centre_crop_comes_before_the_resize(size):
    """The central square is cut out first, so nothing outside it has an influence."""
    pixels = noise(20, 13)

    fitted = Preprocess(size).fit(pixels)

    np.testing.assert_allclose(
        fitted, triangle_resize(pixels[3:16].astype(float), size), atol=ONE_LEVEL
    )


def test_normalisation_by_hand():
    """Channels come first; 255 becomes (1 - mean) / std, and 0 becomes -mean / std."""
    preprocess = Preprocess(2, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, 1] = 255

    normalised = preprocess.normalise(images)

    assert [[[-1, 1], [-1, -1]], [[-1, 3], [-1, -1]], [[0, 0.5], [0, 0]]] == normalised[0].tolist()
    assert normalised.dtype == np.float64


def test_document_round_trip():
    """What `to_json` writes `from_json` reads, and keys of later versions are ignored."""
    preprocess = Preprocess(24, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "stretch", draft=False)

    assert preprocess == Preprocess.from_json({**preprocess.to_json(), "later": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_px": 0}, "image size 0 px, expected 1 to 4096"),
        ({"size_px": 5000}, "image size 5000 px"),
        ({"resize": "pad"}, "resize policy 'pad'"),
        ({"mean": (0.5, 0.5)}, "mean is .*, expected three finite numbers"),
        ({"mean": (0.5, 0.5, float("nan"))}, "mean is .*, expected three finite numbers"),
        ({"std": (0.5, 0.5, float("inf"))}, "std is .*, expected three finite numbers"),
        ({"std": (0.5, 0.0, 0.5)}, "std is .*, expected three numbers > 0"),
    ],
)
def test_fields_are_checked(change, message):
    """A field out of range is named with its value."""
    with pytest.raises(InputError, match=message):
        Preprocess(**{"size_px": 8, **change})


@pytest.mark.parametrize(
    "change", [{"size_px": 8.0}, {"size_px": True}, {"mean": 3}, {"std": ["a", "b", "c"]}]
)
def test_damaged_document_is_refused(change):
    """A field of the wrong type is an error, not a stack trace."""
    with pytest.raises(InputError, match="preprocessing is damaged"):
        Preprocess.from_json({**Preprocess(8).to_json(), **change})


def test_missing_field_is_refused():
    """A document without a field is damaged."""
    document = Preprocess(8).to_json()
    del document["std"]

    with pytest.raises(InputError, match="preprocessing is damaged: KeyError"):
        Preprocess.from_json(document)
