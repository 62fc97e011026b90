"""What stands beside sound pixels does not matter, however long, odd or damaged it is."""

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess

UPSIDE_DOWN = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\3\0\0\0\0\0\0"
XMP = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="3"/>'
LONG = zlib.compress(b"a" * (2 << 20))


def pixels() -> NDArray[np.uint8]:
    """Noise of 8 x 8 pixels."""
    return np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


def chunk(kind: bytes, content: bytes, *, damage: int = 0) -> bytes:
    """A chunk, with a wrong checksum if asked for."""
    checksum = zlib.crc32(kind + content) ^ damage
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(*remarks: bytes, behind: bytes = b"", colour: int = 2) -> bytes:
    """The noise, or its reds in grey, as a PNG with chunks before or behind its data."""
    image = pixels() if colour == 2 else pixels()[:, :, :1]
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, colour, 0, 0, 0))
    parts = [b"\x89PNG\r\n\x1a\n", header, *remarks, chunk(b"IDAT", zlib.compress(rows))]
    return b"".join([*parts, behind, chunk(b"IEND", b"")])


REMARKS = {
    "long text": chunk(b"zTXt", b"prompt\0\0" + LONG),
    "long XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
    "long profile": chunk(b"iCCP", b"p\0\0" + LONG),
    "many texts": chunk(b"tEXt", b"a\0" + bytes(1 << 20)) * 70,
    "text": chunk(b"tEXt", b"Comment\0hello", damage=1),
    "profile": chunk(b"iCCP", b"p\0\0" + zlib.compress(b"profile"), damage=1),
    "compression": chunk(b"zTXt", b"prompt\0\7" + zlib.compress(b"a")),
    "short gamma": chunk(b"gAMA", b"\0"),
    "short white": chunk(b"cHRM", b"\0"),
    "short size": chunk(b"pHYs", b"\0"),
    "animation": chunk(b"fcTL", bytes(26)) * 2,
    "named as what decides": chunk(b"tEXt", b"transparency\0x"),
    "damaged EXIF": chunk(b"eXIf", UPSIDE_DOWN, damage=1),
    "unknown": chunk(b"vpAg", b"", damage=1),
}


@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS)
def test_a_png_is_decoded_whatever_is_said_about_it(remark: bytes) -> None:
    """To the pixels of the plain file."""
    np.testing.assert_array_equal(pixels(), Preprocess(8).decode(png(remark)))


@pytest.mark.parametrize("name", ["long text", "long XMP", "many texts", "compression"])
def test_remarks_may_stand_behind_the_data(name: str) -> None:
    """Where Pillow reads them after the pixels."""
    np.testing.assert_array_equal(pixels(), Preprocess(8).decode(png(behind=REMARKS[name])))


@pytest.mark.parametrize("orientation", [chunk(b"eXIf", UPSIDE_DOWN), chunk(b"iTXt", XMP)])
@pytest.mark.parametrize("name", ["long text", "text", "short gamma", "animation", "damaged EXIF"])
def test_what_turns_it_upright_stays(orientation: bytes, name: str) -> None:
    """If it is whole itself."""
    for payload in (
        png(orientation, REMARKS[name]),
        png(REMARKS[name], orientation),
        png(REMARKS[name], behind=orientation),
    ):
        np.testing.assert_array_equal(pixels()[::-1, ::-1], Preprocess(8).decode(payload))


def test_transparency_is_no_remark() -> None:
    """It stays beside a damaged text; damaged itself, it makes another picture."""
    reds = pixels()[:, :, 0]
    key = struct.pack(">H", reds[0, 0])
    expected = np.where(reds == reds[0, 0], 255, reds)

    found = Preprocess(8).decode(png(REMARKS["text"], chunk(b"tRNS", key), colour=0))

    np.testing.assert_array_equal(expected, found[:, :, 1])
    with pytest.raises(DataError) as caught:
        Preprocess(8).decode(png(chunk(b"tRNS", key, damage=1), colour=0))
    assert "unreadable" == caught.value.status


def jpeg(*segments: bytes) -> bytes:
    """The noise as a JPEG without any remark, with these before its tables."""
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "JPEG")
    payload = buffer.getvalue()
    header = 2 + 2 + int.from_bytes(payload[4:6])
    return payload[:2] + b"".join(segments) + payload[header:]


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


SEGMENTS = {
    "short JFIF": segment(0xE0, b"JFIF\0"),
    "short Adobe": segment(0xEE, b"Adobe"),
    "short profile": segment(0xE2, b"ICC_PROFILE\0"),
    "index": segment(0xE2, b"MPF\0MM\0*\0\0\0\x08" + bytes(6)),
    "index of nothing": segment(0xE2, b"MPF\0"),
    "Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM"),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("odd", SEGMENTS.values(), ids=SEGMENTS)
def test_a_jpeg_is_decoded_whatever_is_said_about_it(odd: bytes) -> None:
    """To the pixels of the plain file, and upright."""
    plain = Preprocess(8).decode(jpeg())
    exif = segment(0xE1, b"Exif\0\0" + UPSIDE_DOWN)

    np.testing.assert_array_equal(plain, Preprocess(8).decode(jpeg(odd)))
    np.testing.assert_array_equal(plain[::-1, ::-1], Preprocess(8).decode(jpeg(exif, odd)))


def test_what_says_the_colours_stays() -> None:
    """Adobe's marker, beside a damaged one: three of four inks are stored as luma and chroma."""
    buffer = io.BytesIO()
    Image.new("CMYK", (8, 8), (200, 127, 127, 0)).save(buffer, "JPEG", quality=100, subsampling=0)
    payload = buffer.getvalue()
    transform = payload.index(b"\xff\xee") + 15
    payload = payload[:transform] + b"\2" + payload[transform + 1 :]

    found = Preprocess(8).decode(payload[:2] + SEGMENTS["short profile"] + payload[2:])

    # Stored inverted: luma 55, no chroma, no black; so the inks are 55 each, and light is 200.
    np.testing.assert_allclose(found, np.full((8, 8, 3), 200), atol=2)
