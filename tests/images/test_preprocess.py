"""From pixels to network input: crop, resize, normalise, and the document of it all."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess

ONE_LEVEL = 1  # Pillow rounds after each of its two passes
TIES = (
    0.03  # share of values that ties round the other way; a shift of half a pixel moves nearly all
)


def encoded(image):
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def noise(height, width, seed=0):
    """Random pixels: any wrong row, column or channel shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    """A pattern of gentle slopes: a shift of a tenth of a pixel is levels away."""
    down, across = np.mgrid[:height, :width]
    waves = [np.sin(down / a + across / b) for a, b in ((3, 5), (-4, 3), (2.5, -7))]
    return np.rint(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def seen_pixels(preprocess, pixels):
    """What the network sees of a frame, (S, S, 3), in grey levels."""
    fitted = preprocess.fit(pixels)[None]
    plain = dataclasses.replace(preprocess, mean=(0, 0, 0), std=(1, 1, 1))
    return 255 * plain.normalise(fitted)[0].transpose(1, 2, 0)


def triangle(distance):
    """Bilinear: falls to nothing at one pixel."""
    return np.maximum(0, 1 - np.abs(distance))


def keys(distance):
    """Bicubic: Keys 1981, equation 4 with a = -0.5; falls to nothing at two pixels."""
    x = np.abs(distance)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def triangle_resize(image, size, kernel=triangle):
    """Antialiased resize of (H, W, 3) to a square or (height, width), pixel after pixel."""
    sizes = (size, size) if isinstance(size, int) else size
    for axis in (1, 0):
        length, size = image.shape[axis], sizes[axis]
        ratio = length / size
        reach = max(ratio, 1)
        lines = []
        for position in range(size):
            centre = (position + 0.5) * ratio
            weights = kernel((np.arange(length) + 0.5 - centre) / reach)
            lines.append(np.tensordot(weights / weights.sum(), image, axes=(0, axis)))
        image = np.clip(np.stack(lines, axis=axis), 0, 255)  # bytes between the two passes
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


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [7, 28])
def test_a_share_of_the_resized_image_is_seen(size, interpolation):
    """Short side to 8 or 32, central 7 or 28: what the loop gives, cut out of the middle."""
    pixels = noise(20, 13)
    preprocess = Preprocess(size, (0, 0, 0), (1, 1, 1), crop=0.875, interpolation=interpolation)
    resized, kernel = size * 8 // 7, {"bilinear": triangle, "bicubic": keys}[interpolation]
    whole = triangle_resize(pixels.astype(float), (resized * 20 // 13, resized), kernel)
    top, left = {7: (2, 0), 28: (10, 2)}[size]  # (12 - 7) / 2 and (8 - 7) / 2 are halves
    expected = whole[top : top + size, left : left + size]

    seen = seen_pixels(preprocess, pixels)

    assert (size, size, 3) == seen.shape
    np.testing.assert_allclose(expected, seen, atol=1.5 * ONE_LEVEL)


def resized_and_cut(pixels, size, resized, kernel):
    """As libraries do it with Pillow: the short side to so many pixels, the middle out of that."""
    image = Image.fromarray(pixels)
    short = min(image.size)
    image = image.resize([int(resized * side / short) for side in image.size], kernel)
    left, top = (round((side - size) / 2) for side in image.size)
    return np.asarray(image.crop((left, top, left + size, top + size)), np.float64)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "share", "resized"), [(32, 0.875, 36), (31, 0.7, 44), (90, 0.9, 100), (20, 0.8, 25)]
)
@pytest.mark.parametrize("shape", [(61, 40), (40, 61), (37, 120), (64, 63), (25, 83), (47, 47)])
def test_shares_are_cut_where_libraries_cut_them(shape, size, share, resized, kernel):
    """Pixels are those of the whole image after resizing, to the level nearly everywhere."""
    pixels = smooth(*shape)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    expected = resized_and_cut(pixels, size, resized, filters[kernel])

    seen = seen_pixels(Preprocess(size, crop=share, interpolation=kernel), pixels)

    np.testing.assert_allclose(expected, seen, atol=1.01 * ONE_LEVEL)
    assert (np.abs(expected - seen) > 0.01).mean() < TIES


@pytest.mark.parametrize("shape", [(61, 40), (40, 61), (50, 83), (127, 90)])
def test_shares_are_those_of_torchvision(shape):
    """`Resize` and `CenterCrop` of torchvision, on sides that are odd and even."""
    transforms = pytest.importorskip("torchvision.transforms")
    pixels = smooth(*shape)
    composed = transforms.Compose([transforms.Resize(36), transforms.CenterCrop(31)])
    expected = np.asarray(composed(Image.fromarray(pixels)), np.float64)

    seen = seen_pixels(Preprocess(31, crop=31 / 36), pixels)

    np.testing.assert_allclose(expected, seen, atol=1.01 * ONE_LEVEL)
    assert (np.abs(expected - seen) > 0.01).mean() < TIES


@pytest.mark.parametrize("shape", [(3, 500), (500, 3)])
def test_of_a_panorama_the_middle_is_resized(shape):
    """Sixteen short sides at most, so that a strip does not become a huge image."""
    pixels = noise(*shape)
    middle = pixels[226:274] if shape[0] > 3 else pixels[:, 226:274]
    preprocess = Preprocess(12, crop=0.75)

    np.testing.assert_array_equal(preprocess.fit(middle), preprocess.fit(pixels))
    np.testing.assert_allclose(
        resized_and_cut(middle, 12, 16, Image.Resampling.BILINEAR),
        seen_pixels(preprocess, pixels),
        atol=ONE_LEVEL,
    )


@pytest.mark.parametrize("size", [7, 8])
def test_the_resized_size_is_the_identity(size):
    """A square of the side that images are resized to is kept, whatever is seen of it."""
    pixels = noise(10, 10)

    np.testing.assert_array_equal(pixels, Preprocess(size, crop=size / 10).fit(pixels))


@pytest.mark.parametrize(
    ("size", "share", "resized", "start"),
    [
        (224, 0.875, 256, 16),
        (224, 0.965517, 232, 4),  # torchvision's 224 of 232, in six digits
        (224, 0.949153, 236, 6),  # its 224 of 236: six digits fall short of it
        (299, 0.874269, 342, 22),  # half of 43 px, to the even side as torchvision's crop
        (224, 0.9, 248, 12),  # timm rounds 248.9 down
        (240, 0.94, 255, 8),
        (224, 1.0, 224, 0),
    ],
)
def test_the_sides_of_libraries(size, share, resized, start):
    """The sides that torchvision and timm resize to, and where they cut."""
    preprocess = Preprocess(size, crop=share)

    assert resized == preprocess.resized_px
    assert slice(start, start + size) == preprocess.centre


def test_a_jpeg_is_decoded_at_a_scale_that_suffices_for_the_resized_side():
    """Four times the network's size is not four times the side that images are resized to."""
    buffer = io.BytesIO()
    Image.fromarray(noise(64, 64)).save(buffer, "JPEG", quality=95)
    exact = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))
    preprocess = Preprocess(16, crop=0.5)

    np.testing.assert_array_equal(preprocess.fit(exact), preprocess.decode(buffer.getvalue()))


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
    preprocess = Preprocess(
        24,
        (0.1, 0.2, 0.3),
        (0.4, 0.5, 0.6),
        "stretch",
        draft=False,
        crop=0.75,
        interpolation="bicubic",
    )

    assert preprocess == Preprocess.from_json({**preprocess.to_json(), "later": 1})


def test_a_document_of_earlier_versions_means_the_whole_square():
    """Crop share and interpolation came later."""
    document = Preprocess(24, crop=0.5, interpolation="bicubic").to_json()
    del document["crop"], document["interpolation"]

    assert Preprocess(24) == Preprocess.from_json(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_px": 0}, "image size 0 px, expected 1 to 4096"),
        ({"size_px": 5000}, "image size 5000 px"),
        ({"resize": "pad"}, "resize policy 'pad'"),
        ({"crop": 0.0}, "crop share 0.0, expected more than 0 and at most 1"),
        ({"crop": 256.0}, "crop share 256.0, expected more than 0 and at most 1"),
        ({"crop": float("nan")}, "crop share nan"),
        ({"crop": 0.001}, "crop share 0.001 of 8 px resizes to 8000 px, expected at most 4096"),
        ({"interpolation": "nearest"}, "interpolation 'nearest', expected one of"),
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
    "change",
    [
        {"size_px": 8.0},
        {"size_px": True},
        {"mean": 3},
        {"std": ["a", "b", "c"]},
        {"crop": "half"},
    ],
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
