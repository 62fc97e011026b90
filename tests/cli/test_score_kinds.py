"""`edge-ood score` over every kind of file a camera folder has: one row each, and what it shows.

The artefact reads pictures aloud: it sees 2 x 2 pixels, and its classes are the pictures that the
table below promises, in hexadecimal; a row's label is the nearest one. So each expectation follows
from a file format's definition, through the whole pipeline.
"""

import base64
import csv
import io
import struct
import zlib
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from typer.testing import CliRunner

from edge_ood.cli.app import app

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

RED, GREEN, BLUE, WHITE = "ff0000", "00ff00", "0000ff", "ffffff"
QUARTERS = {"top left": RED, "top right": GREEN, "bottom left": BLUE, "bottom right": WHITE}
UPRIGHT = " ".join(QUARTERS.values())
STATUSES = ("unreadable", "not-an-image", "unsupported", "too-large")

# Where row 0 and column 0 of the stored pixels belong, as the EXIF standard puts it.
ORIENTATIONS = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
OPPOSITE = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}

# The quarters at 16 x 16 pixels with arithmetic instead of Huffman coding, by `cjpeg -arithmetic`.
ARITHMETIC_JPEG = """
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdB
RkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P
T09PT09PT09PT09PT0//yQARCAAQABADAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ACHiUuia5EbfJ9oB
dn5wO1y9AmfA/9k=
"""


def pixels(colours: str) -> NDArray[np.uint8]:
    """Four hexadecimal colours, or one for all, as uint8 (2, 2, 3)."""
    four = colours.split() if " " in colours else [colours] * 4
    return np.frombuffer(bytes.fromhex("".join(four)), np.uint8).reshape(2, 2, 3)


def quarters(orientation: int = 1, side: int = 32) -> Image.Image:
    """The picture that is `UPRIGHT` once it is turned as EXIF says; a quarter has `side` pixels."""
    row, column = ORIENTATIONS[orientation]
    stored = ""
    for sides in product((row, OPPOSITE[row]), (column, OPPOSITE[column])):
        stored += " ".join(QUARTERS[place] for place in QUARTERS if {*place.split()} == {*sides})
        stored += " "
    blocks = pixels(stored.strip()).repeat(side, axis=0).repeat(side, axis=1)
    return Image.fromarray(blocks)


def flat(mode: str, value: Any, side: int = 8) -> Image.Image:
    """A picture of one colour."""
    return Image.new(mode, (side, side), value)


def saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """The bytes of a file."""
    if "orientation" in options:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = options.pop("orientation")
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def frames(image_format: str, **options: Any) -> bytes:
    """The quarters, then another picture."""
    others = [flat("RGB", (9, 9, 9), 64)]
    return saved(quarters(), image_format, save_all=True, append_images=others, **options)


def png(width: int, height: int, rows: bytes, *, depth: int = 8, interlaced: bool = False) -> bytes:
    """A PNG by the book, RGB, or grey if it has other than 8 bits."""
    header = struct.pack(">IIBBBBB", width, height, depth, 2 if depth == 8 else 0, 0, 0, interlaced)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(rows), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks.items()
    )


def bmp(height: int, rows: bytes) -> bytes:
    """A BMP by the book, 2 pixels wide, 24 bits; a negative height counts from the top."""
    header = struct.pack("<IiiHHIIiiII", 40, 2, height, 1, 24, 0, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows


def tiled_tiff() -> bytes:
    """A TIFF by the book: four uncompressed RGB tiles of 16 x 16 pixels, one per quarter."""
    tiles = [bytes.fromhex(colour) * 256 for colour in QUARTERS.values()]
    bits, offsets, counts = (8 + 4 * 768 + extra for extra in (0, 6, 22))
    extra = struct.pack("<3H4I4I", 8, 8, 8, *(8 + 768 * i for i in range(4)), *[768] * 4)
    entries = [(256, 3, 1, 32), (257, 3, 1, 32), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(277, 3, 1, 3), (322, 3, 1, 16), (323, 3, 1, 16)]
    entries += [(324, 4, 4, offsets), (325, 4, 4, counts)]
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries
    )
    start = b"II*\0" + struct.pack("<I", 8 + 4 * 768 + len(extra))
    return start + b"".join(tiles) + extra + directory + bytes(4)


def jpegs() -> dict[str, tuple[bytes, str]]:
    """Every kind of JPEG, with what it shows."""
    plain = saved(quarters(), "JPEG", quality=95)
    start_of_frame = plain.index(b"\xff\xc0")
    turned = {
        f"orientation {n}.jpg": (saved(quarters(n), "JPEG", quality=95, orientation=n), UPRIGHT)
        for n in ORIENTATIONS
    }
    return turned | {
        "plain.jpg": (plain, UPRIGHT),
        "orientation 99.jpg": (saved(quarters(), "JPEG", orientation=99), UPRIGHT),
        "no ending": (plain, UPRIGHT),
        "jpeg inside.png": (plain, UPRIGHT),
        "large.jpg": (saved(quarters(side=1000), "JPEG", orientation=1), UPRIGHT),
        "progressive.jpg": (saved(quarters(), "JPEG", progressive=True), UPRIGHT),
        "restart markers.jpg": (saved(quarters(), "JPEG", restart_marker_blocks=3), UPRIGHT),
        "subsampled.jpg": (saved(quarters(), "JPEG", subsampling=2), UPRIGHT),
        "arithmetic.jpg": (base64.b64decode(ARITHMETIC_JPEG), UPRIGHT),
        "garbage behind.jpg": (plain + b"garbage" * 99, UPRIGHT),
        "panorama.mpo": (frames("MPO", quality=95), UPRIGHT),
        "grey.jpg": (saved(flat("L", 99), "JPEG"), "636363"),
        "cmyk of adobe.jpg": (saved(flat("CMYK", (0, 255, 255, 0)), "JPEG", quality=100), RED),
        "12 bits.jpg": (
            plain[: start_of_frame + 4] + b"\x0c" + plain[start_of_frame + 5 :],
            "unsupported",
        ),
    }


def pngs() -> dict[str, tuple[bytes, str]]:
    """Every kind of PNG, with what it shows."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    rows = [bytes.fromhex(colours) for colours in (RED + GREEN, BLUE + WHITE)]
    upper, lower = rows
    passes = b"\0" + upper[:3] + b"\0" + upper[3:] + b"\0" + lower
    ink_in_the_middle = b"\0" + b"\0\0\xff" * 1999 + b"\xff\0\0" + b"\0\0\xff" * 2000
    column = b"".join(b"\0" + ink_in_the_middle[i : i + 3] for i in range(1, 12_001, 3))
    return {
        "orientation 6.png": (saved(quarters(6), "PNG", orientation=6), UPRIGHT),
        "png inside.jpg": (saved(quarters(), "PNG"), UPRIGHT),
        "interlaced.png": (png(2, 2, passes, interlaced=True), UPRIGHT),
        "16 bits.png": (png(2, 1, b"\0" + b"\x99\x99" * 2, depth=16), "999999"),
        "1 bit.png": (saved(flat("1", 1), "PNG"), WHITE),
        "palette.png": (saved(quarters().quantize(4), "PNG"), UPRIGHT),
        "alpha.png": (saved(flat("RGBA", (0, 100, 50, 51)), "PNG"), "cce0d6"),
        "grey and alpha.png": (saved(flat("LA", (0, 51)), "PNG"), "cccccc"),
        "transparent.png": (saved(flat("RGBA", (0, 100, 50, 0)), "PNG"), WHITE),
        "colour key.png": (saved(flat("RGB", (1, 2, 3)), "PNG", transparency=(1, 2, 3)), WHITE),
        "profile.png": (saved(quarters(), "PNG", icc_profile=profile), UPRIGHT),
        "animated.png": (frames("PNG"), UPRIGHT),
        "one pixel.png": (png(1, 1, b"\0\xff\0\0"), RED),
        "4000 x 1.png": (png(4000, 1, ink_in_the_middle), RED),
        "1 x 4000.png": (png(1, 4000, column), RED),
        "nothing.png": (png(0, 0, b""), "unreadable"),
        "bomb.png": (png(60_000, 60_000, b"\0"), "too-large"),
        "small bomb.png": (png(10_000, 10_000, b"\0"), "too-large"),
    }


def tiffs() -> dict[str, tuple[bytes, str]]:
    """Every kind of TIFF, with what it shows."""
    compressions = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    return {
        f"{name}.tif": (saved(quarters(), "TIFF", compression=name), UPRIGHT)
        for name in compressions
    } | {
        "orientation 6.tif": (saved(quarters(6), "TIFF", orientation=6), UPRIGHT),
        "tiled.tif": (tiled_tiff(), UPRIGHT),
        "pages.tif": (frames("TIFF"), UPRIGHT),
        "palette.tif": (saved(quarters().quantize(4), "TIFF"), UPRIGHT),
        "cmyk.tif": (saved(flat("CMYK", (0, 255, 255, 0)), "TIFF"), RED),
        "fax.tif": (saved(flat("1", 1), "TIFF", compression="group4"), WHITE),
        "16 bits.tif": (saved(Image.fromarray(np.full((4, 4), 0x9999, "<u2")), "TIFF"), "999999"),
        "float.tif": (saved(Image.fromarray(np.full((4, 4), 0.6, "<f4")), "TIFF"), "999999"),
        "float to 255.tif": (saved(flat("F", 153.0), "TIFF"), "unsupported"),
        "32 bits.tif": (saved(flat("I", 153), "TIFF"), "unsupported"),
    }


def others() -> dict[str, tuple[bytes, str]]:
    """The other formats that are decoded, with what they show."""
    ink = bytes.fromhex(RED + GREEN + BLUE + WHITE)
    blue_green_red = b"\0\0\xff\0\xff\0\0\0", b"\xff\0\0\xff\xff\xff\0\0"
    upper, lower = blue_green_red
    deep = b"".join(struct.pack(">H", 257 * level) for level in ink)
    transparent = flat("P", 1)
    transparent.putpalette([0, 0, 0, 200, 100, 50])
    return {
        "animated.gif": (frames("GIF", disposal=2), UPRIGHT),
        "transparent.gif": (saved(transparent, "GIF", transparency=1), WHITE),
        "lossless.webp": (saved(quarters(), "WEBP", lossless=True), UPRIGHT),
        "lossy.webp": (saved(quarters(), "WEBP"), UPRIGHT),
        "animated.webp": (frames("WEBP", lossless=True), UPRIGHT),
        "orientation 6.webp": (saved(quarters(6), "WEBP", orientation=6), UPRIGHT),
        "alpha.webp": (saved(flat("RGBA", (0, 100, 50, 51)), "WEBP", lossless=True), "cce0d6"),
        "bottom up.bmp": (bmp(2, lower + upper), UPRIGHT),
        "top down.bmp": (bmp(-2, upper + lower), UPRIGHT),
        "palette.bmp": (saved(quarters().quantize(4), "BMP"), UPRIGHT),
        "1 bit.bmp": (saved(flat("1", 1), "BMP"), WHITE),
        "plain.ppm": (b"P3 #comment\n2 2 255\n" + " ".join(map(str, ink)).encode(), UPRIGHT),
        "raw.ppm": (b"P6 2 2 255\n" + ink, UPRIGHT),
        "16 bits.ppm": (b"P6 2 2 65535\n" + deep, UPRIGHT),
        "grey.pgm": (b"P5 2 2 1023\n" + struct.pack(">4H", *[614] * 4), "999999"),
        "bits.pbm": (b"P4 2 2\n\0\0", WHITE),
    }


def broken() -> dict[str, tuple[bytes, str]]:
    """What cannot be scored, with its status."""
    whole = {
        kind: saved(quarters(), kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
    }
    cut = {f"cut.{kind}": (file[: len(file) // 2], "unreadable") for kind, file in whole.items()}
    heads = {f"head.{kind}": (file[:16], "unreadable") for kind, file in whole.items()}
    jpeg = saved(quarters(), "JPEG")
    return (
        cut
        | heads
        | {
            "power failure.jpg": (jpeg[:-300] + bytes(300), "unreadable"),
            "empty.jpg": (b"", "not-an-image"),
            "zeros.jpg": (bytes(5000), "not-an-image"),
            "error page.jpg": (b"<!DOCTYPE html><html>404</html>", "not-an-image"),
            "notes.txt": (b"nothing to see\n", "not-an-image"),
            "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not-an-image"),
            "film.mp4": (b"\0\0\0\x20ftypisom\0\0\2\0" + bytes(999), "not-an-image"),
            ".DS_Store": (b"\0\0\0\1Bud1", "not-an-image"),
            "photo.heic": (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "unsupported"),
            "heic inside.jpg": (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "unsupported"),
            "photo.avif": (b"\0\0\0\x1cftypavif\0\0\0\0", "unsupported"),
            "photo.jxl": (b"\xff\x0a\x7f\x1a", "unsupported"),
            "photo.jp2": (saved(quarters(), "JPEG2000"), "unsupported"),
            "photo.cr2": (b"II*\0\x10\0\0\0CR\2\0", "unsupported"),
            "depth.pfm": (b"Pf 2 2 -1.0\n" + bytes(16), "unsupported"),
            "layers.psd": (b"8BPS\0\1", "unsupported"),
        }
    )


KINDS = jpegs() | pngs() | tiffs() | others() | broken()


@pytest.fixture(scope="module")
def rows(
    tmp_path_factory: pytest.TempPathFactory, make_reader: Callable[..., None]
) -> list[dict[str, str]]:
    """The table of a folder that holds all of them, by the command line."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "zoo").mkdir()
    for name, (content, _) in KINDS.items():
        (folder / "zoo" / name).write_bytes(content)
    shown = {expected for _, expected in KINDS.values()} - {*STATUSES}
    make_reader({picture: pixels(picture) for picture in sorted(shown)}, folder / "x.onnx")

    arguments = [folder / "x.onnx", folder / "zoo", "-o", folder / "out.csv"]
    result = CliRunner().invoke(app, ["score", *map(str, arguments)])

    assert 0 == result.exit_code, result.stderr
    with (folder / "out.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, strict=True))


def test_each_file_has_one_row_in_order(rows: list[dict[str, str]]) -> None:
    """By name, whatever is in it."""
    assert sorted(KINDS) == [row["path"].rpartition("/")[2] for row in rows]


@pytest.mark.parametrize("name", KINDS)
def test_a_row_says_what_its_file_is(rows: list[dict[str, str]], name: str) -> None:
    """The picture and no error; or why there is none, in words that name the file."""
    (row,) = (row for row in rows if row["path"].endswith(f"/{name}"))

    expected = KINDS[name][1]
    if expected in STATUSES:
        assert (expected, "") == (row["status"], row["label"] + row["energy"] + row["is_ood"])
        assert f"/{name}'" in row["error"]
    else:
        assert ("ok", expected, "") == (row["status"], row["label"], row["error"])
