"""Reading image files: one rule after the other, on files made in memory."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.open_image import MAX_PIXELS
from edge_ood.images.preprocess import Preprocess

ORIENTATION = 0x0112


def encoded(image, image_format="PNG", **options):
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def noise(height, width, seed=0):
    """Random pixels: any wrong row, column or channel shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    """Slow gradients, which survive JPEG."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = [255 * rows / height, 255 * columns / width, 128 + 0 * rows]
    return np.stack(channels, axis=2).astype(np.uint8)


def png_header(width, height):
    """A PNG that claims a size and holds no pixel."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\0\0\0\0"


def exif(*entries):
    """EXIF bytes with (tag, type, count, four value bytes) entries, big-endian."""
    body = struct.pack(">H", len(entries))
    body += b"".join(struct.pack(">HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0MM\0*\0\0\0\x08" + body + bytes(4)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, np.rot90),
    ],
)
def test_exif_orientation_is_applied(orientation, upright):
    """All eight orientations are turned upright."""
    pixels = noise(8, 8)
    tags = Image.Exif()
    tags[ORIENTATION] = orientation

    decoded = Preprocess(8).decode(encoded(Image.fromarray(pixels), exif=tags))

    np.testing.assert_array_equal(decoded, upright(pixels))


@pytest.mark.parametrize(
    "odd",
    [(0x0201, 1, 1, b"\0\3\0\0"), (0x010F, 11, 1, b"\0\3\0\0"), (0x011A, 2, 1, b"\0\3\0\0")],
    ids=["bytes as offset", "float as maker", "text as resolution"],
)
def test_odd_exif_tags_do_not_matter(odd):
    """A photo with one malformed EXIF tag is still turned upright."""
    pixels = noise(8, 8)
    upside_down = (ORIENTATION, 3, 1, b"\0\3\0\0")
    payload = encoded(Image.fromarray(pixels), exif=exif(*sorted([upside_down, odd])))

    decoded = Preprocess(8).decode(payload)

    np.testing.assert_array_equal(decoded, pixels[::-1, ::-1])


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "damaged", [b"Exif\0\0no TIFF", exif((ORIENTATION, 3, 1, b"\0\x63\0\0"))], ids=["junk", "99"]
)
def test_damaged_exif_is_ignored(image_format, damaged):
    """EXIF that cannot be read, or an orientation that does not exist, leaves the pixels alone."""
    image = Image.fromarray(smooth(8, 8))
    plain = Preprocess(8).decode(encoded(image, image_format))

    decoded = Preprocess(8).decode(encoded(image, image_format, exif=damaged))

    np.testing.assert_array_equal(decoded, plain)


def test_palette_is_expanded():
    """A palette image has the colours of its palette."""
    indices = np.arange(16, dtype=np.uint8).reshape(4, 4) % 3
    palette = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(palette.tobytes())

    decoded = Preprocess(4).decode(encoded(image))

    np.testing.assert_array_equal(decoded, palette[indices])


def test_grey_is_repeated():
    """Grey has three equal channels."""
    grey = noise(4, 4)[:, :, 0]

    decoded = Preprocess(4).decode(encoded(Image.fromarray(grey)))

    np.testing.assert_array_equal(decoded, np.stack([grey] * 3, axis=2))


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation(image_format):
    """What moves later, and what stands on later pages, is not looked at."""
    white, black = Image.new("RGB", (4, 4), "white"), Image.new("RGB", (4, 4), "black")
    payload = encoded(white, image_format, save_all=True, append_images=[black], duration=100)

    assert 255 == Preprocess(4).decode(payload).min()


def test_draft_decodes_large_jpegs_at_a_reduced_scale():
    """Four times the size is decoded at half scale: what libjpeg itself gives for it."""
    payload = encoded(Image.fromarray(noise(128, 128)), "JPEG")
    with Image.open(io.BytesIO(payload)) as image:
        image.draft("RGB", (64, 64))
        half = np.asarray(image)
    assert (64, 64, 3) == half.shape

    decoded = Preprocess(32).decode(payload)

    np.testing.assert_array_equal(decoded, Preprocess(32).fit(half))
    assert (decoded != Preprocess(32, draft=False).decode(payload)).any()


def test_what_phones_write_is_decoded_as_a_jpeg():
    """Of a JPEG with another behind it the first is used, at the same reduced scale."""
    first, second = (Image.fromarray(noise(128, 128, seed)) for seed in (0, 1))
    payload = encoded(first, "MPO", save_all=True, append_images=[second])
    with Image.open(io.BytesIO(payload)) as image:
        assert "MPO" == image.format
        assert 2 == image.n_frames

    decoded = Preprocess(32).decode(payload)

    np.testing.assert_array_equal(decoded, Preprocess(32).decode(encoded(first, "JPEG")))


def test_draft_hardly_changes_a_photo():
    """On smooth content the reduced scale is within two grey levels of the full one."""
    payload = encoded(Image.fromarray(smooth(300, 400)), "JPEG", quality=95)

    fast, exact = (Preprocess(32, draft=d).decode(payload).astype(int) for d in (True, False))

    assert np.abs(fast - exact).max() <= 2


@pytest.mark.parametrize(("height", "width"), [(127, 300), (32, 32), (20, 40)])
def test_draft_leaves_smaller_jpegs_alone(height, width):
    """Below four times the size every pixel is decoded."""
    payload = encoded(Image.fromarray(noise(height, width)), "JPEG")

    fast, exact = (Preprocess(32, draft=d).decode(payload) for d in (True, False))

    np.testing.assert_array_equal(fast, exact)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_truncated_file_is_unreadable(image_format):
    """Half a file is an error that names it, with the status for a score table."""
    payload = encoded(Image.fromarray(noise(64, 64)), image_format)

    with pytest.raises(DataError, match=r"cannot decode 'a/b\.img': ") as caught:
        Preprocess(8).decode(payload[: len(payload) // 2], "'a/b.img'")

    assert ("unreadable", "remove or repair it") == (caught.value.status, caught.value.hint)


@pytest.mark.parametrize(
    "payload", [b"", b"hello\n", b"\0" * 100, b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_other_files_are_no_images(payload):
    """Text, nothing and vector graphics have a status of their own."""
    with pytest.raises(DataError, match="'notes' is not an image") as caught:
        Preprocess(8).decode(payload, "'notes'")

    assert "not-an-image" == caught.value.status


@pytest.mark.parametrize(
    "payload",
    [b"\xff\xd8\xff\xe0", b"GIF89a", b"BM and so on", png_header(0, 4), b"P6 2 2 99999 "],
    ids=["JPEG", "GIF", "BMP", "PNG", "PPM"],
)
def test_a_damaged_header_is_unreadable(payload):
    """What begins like an image is a damaged one, even if nothing else of it is left."""
    with pytest.raises(DataError, match="cannot decode 'x': ") as caught:
        Preprocess(8).decode(payload, "'x'")

    assert "unreadable" == caught.value.status


def test_postscript_is_not_run():
    """Pillow would hand PostScript to another program, so it is not read, whatever its name."""
    payload = encoded(Image.fromarray(noise(8, 8)), "EPS")

    with pytest.raises(DataError) as caught:
        Preprocess(8).decode(payload)

    assert "not-an-image" == caught.value.status


@pytest.mark.parametrize("side", [9500, 40_000], ids=["just over", "far over"])
def test_decompression_bomb_is_refused_unopened(side):
    """A tiny file that claims too many pixels is too large, before any is decoded."""
    assert side * side > MAX_PIXELS

    with pytest.raises(DataError, match="'bomb' is too large") as caught:
        Preprocess(8).decode(png_header(side, side), "'bomb'")

    assert "too-large" == caught.value.status


def test_an_image_beyond_the_memory_is_too_large(monkeypatch):
    """Where memory is short, one image is not worth all the others."""

    def fail(_):
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)

    with pytest.raises(DataError, match="'x' is too large: there is not enough memory") as caught:
        Preprocess(8).decode(encoded(Image.fromarray(noise(8, 8))), "'x'")

    assert "too-large" == caught.value.status


@pytest.mark.parametrize(
    ("payload", "printed"),
    [
        (png_header(9500, 9500), b"too-large"),
        (
            encoded(Image.new("RGB", (9, 9)), "JPEG", exif=exif((ORIENTATION, 3, 9, bytes(4)))),
            b"fine",
        ),
    ],
    ids=["size", "metadata"],
)
def test_pillows_remarks_do_not_reach_the_terminal(payload, printed):
    """Warnings about size or odd metadata print nothing: the status says what matters."""
    script = """
import sys
from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess
try:
    Preprocess(8).decode(sys.stdin.buffer.read())
    print("fine")
except DataError as error:
    print(error.status)
"""

    run = subprocess.run(
        [sys.executable, "-c", script], input=payload, capture_output=True, check=True
    )

    assert (printed, b"") == (run.stdout.strip(), run.stderr)
