"""Any mode becomes 8-bit RGB: values that are known in advance, in files made by hand."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess

BITS, POLARITY, SUBFILE, SAMPLE_FORMAT = 258, 262, 254, 339
WHITE = 255


def decode(payload: bytes) -> list[list[int]]:
    """The pixels (2, 2, 3) of a file, row by row."""
    pixels: list[list[int]] = Preprocess(2).decode(payload, "'x'").reshape(4, 3).tolist()
    return pixels


def grey(*levels: int) -> list[list[int]]:
    """Four grey pixels."""
    return [[level] * 3 for level in levels]


def png(depth: int, colour: int, rows: list[bytes], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 2 x 2 pixels, by the book."""
    header = struct.pack(">IIBBBBB", 2, 2, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def tiff(pixels: bytes, byte_order: str = "<", **tags: int) -> bytes:
    """A greyscale TIFF of 2 x 2 pixels, by the book; numbered tags come as `t258=16`."""
    chosen = {256: 2, 257: 2, BITS: 16, 259: 1, POLARITY: 1, 273: 8, 277: 1, 278: 2}
    chosen |= {279: len(pixels)} | {int(name[1:]): value for name, value in tags.items()}
    start = {"<": b"II*\0", ">": b"MM\0*"}[byte_order] + struct.pack(
        byte_order + "I", 8 + len(pixels)
    )
    entries = [
        struct.pack(byte_order + "HHIHH", tag, 3, 1, value, 0)
        for tag, value in sorted(chosen.items())
    ]
    count = struct.pack(byte_order + "H", len(entries))
    return start + pixels + count + b"".join(entries) + bytes(4)


def words(*values: int, byte_order: str = ">") -> bytes:
    """16-bit numbers."""
    return struct.pack(f"{byte_order}{len(values)}H", *values)


DEEP = (0, 256, 257, 65535)
DIVIDED = grey(0, 0, 1, WHITE)


@pytest.mark.parametrize(
    "payload",
    [
        png(16, 0, [words(*DEEP[:2]), words(*DEEP[2:])]),
        tiff(words(*DEEP, byte_order="<")),
        tiff(words(*DEEP), ">"),
        b"P5 2 2 65535 " + words(*DEEP),
    ],
    ids=["PNG", "TIFF", "TIFF big-endian", "PPM"],
)
def test_sixteen_bits_are_divided_by_257(payload: bytes) -> None:
    """0xFFFF is white, and what does not reach the next level stays below it."""
    assert DIVIDED == decode(payload)


def test_white_may_be_zero() -> None:
    """Scans are often stored so; they are no negatives."""
    white_is_zero = tiff(words(*DEEP, byte_order="<"), t262=0)

    assert grey(WHITE, WHITE, WHITE - 1, 0) == decode(white_is_zero)


def test_twelve_bits_are_no_dark_sixteen() -> None:
    """4095 is white; three bytes hold two pixels, and rows begin at a byte."""
    rows = bytes([0x00, 0x0F, 0xFF]) + bytes([0x80, 0x00, 0x10])

    # 0x800 * 255 / 4095 = 127.5, and 0x010 * 255 / 4095 = 0.996
    assert grey(0, WHITE, 127, 0) == decode(tiff(rows, t258=12))


@pytest.mark.parametrize("maxval", [100, 1023])
def test_any_largest_value_is_white(maxval: int) -> None:
    """A greymap says itself what stands for white."""
    values = (0, maxval // 4, maxval // 2, maxval)
    body = bytes(values) if maxval < 256 else words(*values)

    found = decode(b"P5 2 2 %d " % maxval + body)

    exact = [255 * value / maxval for value in values]
    np.testing.assert_allclose([pixel[0] for pixel in found], exact, atol=1)
    assert found[3] == [WHITE] * 3


def float_tiff(*values: float) -> bytes:
    """Four float32 pixels as a file."""
    pixels = np.array(values, np.float32).reshape(2, 2)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF")
    return buffer.getvalue()


def test_floats_go_from_zero_to_one() -> None:
    """1.0 is white; every 8-bit level divided by 255 comes back; others go to the nearest."""
    assert grey(0, 25, 26, WHITE) == decode(float_tiff(0.001, 0.0999, 0.1001, 1.0))
    for start in range(0, 256, 4):
        levels = range(start, start + 4)
        values = [float(np.float32(level) / np.float32(255)) for level in levels]

        assert grey(*levels) == decode(float_tiff(*values))


@pytest.mark.parametrize("odd", [255.0, 1.001, -0.001, float("inf"), float("nan")])
def test_floats_of_another_range_are_refused(odd: float) -> None:
    """No range is guessed: a picture of 0 to 255 would be white, or nearly black."""
    with pytest.raises(DataError, match=r"'x' has grey values .*, expected 0 to 1") as caught:
        decode(float_tiff(0.0, 0.5, odd, 1.0))

    assert "unsupported" == caught.value.status


@pytest.mark.parametrize(
    "payload",
    [
        tiff(words(*DEEP, byte_order="<"), t339=2),
        tiff(struct.pack("<4I", 0, 1, 2, 70_000), t258=32),
        tiff(struct.pack("<4i", 0, 1, 2, -70_000), t258=32, t339=2),
    ],
    ids=["int16", "uint32", "int32"],
)
def test_grey_of_unknown_range_is_refused(payload: bytes) -> None:
    """What stands for white in signed and 32-bit numbers, nothing says."""
    with pytest.raises(DataError, match="'x' has signed or 32-bit grey values") as caught:
        decode(payload)

    assert "unsupported" == caught.value.status


def test_a_preview_is_refused() -> None:
    """Camera raw files are TIFFs that begin with a picture of the size of a stamp."""
    with pytest.raises(DataError, match="'x' begins with a preview") as caught:
        decode(tiff(words(*DEEP, byte_order="<"), t254=1))

    assert "unsupported" == caught.value.status


def test_colour_of_sixteen_bits_loses_its_low_byte() -> None:
    """In PNG with alpha and without, and in a pixmap of 65535."""
    colour = (0x80FF, 0x0100, 0xFFFF)
    expected = [[0x80, 0x01, 0xFF]] * 4

    assert expected == decode(png(16, 2, [words(*colour * 2)] * 2))
    assert expected == decode(png(16, 6, [words(*(*colour, 0xFFFF) * 2)] * 2))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (png(8, 4, [bytes([100, 255, 100, 51]), bytes([100, 0, 0, 51])]), grey(100, 224, 255, 204)),
        (png(16, 4, [words(0x6400, 0xFFFF, 0x6400, 0x3300)] * 2), grey(100, 224, 100, 224)),
        (png(8, 0, [b"\x07\x08"] * 2, (b"tRNS", words(7))), grey(WHITE, 8, WHITE, 8)),
        (png(16, 0, [words(700, 514)] * 2, (b"tRNS", words(700))), grey(WHITE, 2, WHITE, 2)),
        (
            png(8, 2, [bytes([1, 2, 3, 1, 2, 4])] * 2, (b"tRNS", words(1, 2, 3))),
            [[WHITE] * 3, [1, 2, 4]] * 2,
        ),
        (
            png(1, 3, [b"\x40"] * 2, (b"PLTE", bytes([9, 8, 7, 0, 100, 50])), (b"tRNS", b"\0\x33")),
            [[WHITE] * 3, [204, 224, 214]] * 2,
        ),
    ],
    ids=["grey alpha", "grey alpha 16", "grey key", "grey key 16", "colour key", "palette"],
)
def test_alpha_is_laid_on_white(payload: bytes, expected: list[list[int]]) -> None:
    """Alpha channels, colour keys and transparent palettes: 0x33 is one fifth opaque."""
    assert expected == decode(payload)


@pytest.mark.parametrize(
    ("depth", "row", "levels"), [(1, 0x40, (0, 255)), (2, 0x60, (85, 170)), (4, 0x37, (51, 119))]
)
def test_few_bits_span_the_whole_range(depth: int, row: int, levels: tuple[int, int]) -> None:
    """All bits set is white in grey of 1, 2 and 4 bits."""
    assert grey(*levels, *levels) == decode(png(depth, 0, [bytes([row])] * 2))


@pytest.mark.parametrize(
    "chunk",
    [
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"iCCP", b"junk\0\0" + zlib.compress(b"no profile")),
        (b"sRGB", b"\0"),
        (b"cHRM", bytes(32)),
        (b"eXIf", b"no TIFF"),
        (b"zZzZ", b"unknown"),
    ],
)
def test_colour_management_and_odd_chunks_are_ignored(chunk: tuple[bytes, bytes]) -> None:
    """Pixels are taken as they stand, whatever profile, gamma or junk comes with them."""
    assert grey(0, 99, 0, 99) == decode(png(8, 0, [b"\0\x63"] * 2, chunk))


def adobe_cmyk(pixel: tuple[int, int, int, int]) -> bytes:
    """A CMYK JPEG as Adobe's programs write it: inverted, with their marker."""
    buffer = io.BytesIO()
    Image.new("CMYK", (16, 16), pixel).save(buffer, "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in buffer.getvalue()
    return buffer.getvalue()


INKS: list[tuple[tuple[int, int, int, int], list[int]]] = [
    ((0, 0, 0, 0), [255, 255, 255]),
    ((255, 0, 0, 0), [0, 255, 255]),
    ((0, 255, 255, 0), [255, 0, 0]),
    ((0, 0, 0, 255), [0, 0, 0]),
    ((0, 0, 0, 128), [127, 127, 127]),
    ((128, 0, 128, 0), [127, 255, 127]),
]


@pytest.mark.parametrize(("inks", "expected"), INKS)
def test_inks_become_light(inks: tuple[int, int, int, int], expected: list[int]) -> None:
    """CMYK is subtracted from white: Adobe's JPEG, the same without its marker, and TIFF."""
    buffer = io.BytesIO()
    Image.new("CMYK", (2, 2), inks).save(buffer, "TIFF")
    jpeg = adobe_cmyk(inks)
    marker = jpeg.index(b"\xff\xee")
    length = 2 + int.from_bytes(jpeg[marker + 2 : marker + 4])
    plain = jpeg[:marker] + jpeg[marker + length :]

    assert [expected] * 4 == decode(buffer.getvalue())
    np.testing.assert_allclose(decode(jpeg), [expected] * 4, atol=2)
    assert decode(plain) == decode(jpeg)


def test_adobes_ycck_becomes_light() -> None:
    """With the marker's last byte at 2, the first three inks are stored as luma and chroma."""
    # Stored inverted: luma 55, no chroma, no black; so the inks are 55 each, and light is 200.
    jpeg = adobe_cmyk((200, 127, 127, 0))
    transform = jpeg.index(b"\xff\xee") + 15
    assert 0 == jpeg[transform]

    found = decode(jpeg[:transform] + b"\2" + jpeg[transform + 1 :])

    np.testing.assert_allclose(found, grey(200, 200, 200, 200), atol=2)


def unsupported(payload: bytes) -> str:
    """The reason why an image of some kind is not decoded."""
    with pytest.raises(DataError) as caught:
        decode(payload)
    assert "unsupported" == caught.value.status
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("convert ")
    return str(caught.value)


def test_signed_bytes_are_no_grey() -> None:
    """Pillow takes -1 for white and 0 for black."""
    bytes_of_grey = bytes([0, 127, 128, 255])

    assert grey(*bytes_of_grey) == decode(tiff(bytes_of_grey, t258=8, t339=1))
    message = unsupported(tiff(bytes_of_grey, t258=8, t339=2))
    assert "'x' has signed or 32-bit grey values" == message


@pytest.mark.parametrize(
    "payload",
    [
        tiff(bytes(8), t339=3),
        tiff(bytes(4), t258=8, t339=4),
        tiff(bytes(16), t258=32, t339=5),
        tiff(bytes(16), t277=2),
        adobe_cmyk((0, 0, 0, 0)).replace(b"\xff\xc0\0\x14\x08", b"\xff\xc0\0\x14\x0c"),
        adobe_cmyk((0, 0, 0, 0)).replace(
            b"\xff\xc0\0\x14\x08\0\x10\0\x10\4", b"\xff\xc0\0\x14\x08\0\x10\0\x10\2"
        ),
    ],
    ids=["float16", "void", "complex", "two samples", "12-bit JPEG", "two components"],
)
def test_samples_of_another_kind_are_named(payload: bytes) -> None:
    """They are sound, and not damaged."""
    assert unsupported(payload).startswith("'x' is of an unusual kind: ")


def webp(*row: tuple[int, int, int, int]) -> bytes:
    """Two equal rows of two pixels."""
    image = Image.fromarray(np.array([row, row], np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, exact=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "payload",
    [
        png(8, 6, [bytes([9, 8, 7, 0, 1, 2, 3, 0])] * 2),
        png(8, 4, [bytes([9, 0, 7, 0])] * 2),
        png(16, 6, [words(*(0x900, 8, 7, 0), *(1, 2, 3, 0))] * 2),
        png(1, 3, [b"\x40"] * 2, (b"PLTE", bytes([9, 8, 7, 0, 100, 50])), (b"tRNS", b"\0\0")),
        webp((9, 8, 7, 0), (9, 8, 6, 0)),
        tiff(bytes([9, 8, 7, 0, 9, 7, 7, 0]) * 2, t258=8, t262=2, t277=4, t338=2),
    ],
    ids=["colour", "grey", "16", "palette", "WebP", "TIFF"],
)
def test_an_alpha_that_nobody_filled_is_refused(payload: bytes) -> None:
    """The picture below it would be white."""
    assert "'x' has a picture that is transparent everywhere" == unsupported(payload)


@pytest.mark.parametrize(
    "payload",
    [
        png(8, 6, [bytes([9, 8, 7, 0]) * 2] * 2),
        png(8, 0, [b"\x07\x07"] * 2, (b"tRNS", words(7))),
        png(16, 0, [words(7, 7)] * 2, (b"tRNS", words(7))),
        webp((9, 8, 7, 0), (9, 8, 7, 0)),
    ],
    ids=["colour", "key", "key 16", "WebP"],
)
def test_an_empty_sheet_is_white(payload: bytes) -> None:
    """There is no picture that could be lost."""
    assert grey(*[WHITE] * 4) == decode(payload)


def test_one_visible_pixel_is_a_picture() -> None:
    """It stands on white."""
    row = bytes([9, 8, 7, 0, 1, 2, 3, 0])

    found = decode(png(8, 6, [row, row[:4] + bytes([9, 8, 7, 255])]))

    assert [*grey(255, 255, 255), [9, 8, 7]] == found


@pytest.mark.parametrize(
    ("levels", "range_of"),
    [((0, 1, 2, 256), "0 to 256 of 65535"), ((65300, 65301, 65400, 65500), "65300 to 65500")],
)
def test_differences_that_vanish_are_named(levels: tuple[int, ...], range_of: str) -> None:
    """Eight bits stored as sixteen would be black; of one level there is nothing to lose."""
    rows = [words(*levels[:2]), words(*levels[2:])]

    assert f"has grey values from {range_of}" in unsupported(png(16, 0, rows))
    assert grey(0, 0, 0, 0) == decode(png(16, 0, [words(2, 2)] * 2))
    assert grey(0, 0, 0, 15) == decode(png(16, 0, [words(0, 1), words(2, 4095)]))
