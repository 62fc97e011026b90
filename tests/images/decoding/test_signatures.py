"""What a file is, by its first bytes: decoded, another image format, or no image."""

import io

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.signatures import DECODED_FORMATS, SIGNATURE_BYTES, check_is_decoded


def encoded(image_format: str, **options: object) -> bytes:
    """Noise as a file."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def status_of(head: bytes) -> str:
    """The status of a file that begins like this."""
    with pytest.raises(DataError) as caught:
        check_is_decoded(head, "'x'")
    assert caught.value.hint
    return caught.value.status


@pytest.mark.parametrize("image_format", DECODED_FORMATS)
def test_what_pillow_writes_is_known(image_format: str) -> None:
    """Every format that is decoded is told by its first bytes."""
    check_is_decoded(encoded(image_format)[:SIGNATURE_BYTES], "'x'")


@pytest.mark.parametrize("head", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"P1\n", b"P6 "])
def test_both_byte_orders_and_all_netpbm_kinds_are_known(head: bytes) -> None:
    """TIFF and BigTIFF, little- and big-endian; bitmaps, greymaps and pixmaps."""
    check_is_decoded(head + bytes(100), "'x'")


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("AVIF", b"\0\0\0\x1cftypavif\0\0\0\0"),
        ("AVIF", b"\0\0\0\x2cftypavis\0\0\0\0"),
        ("JPEG 2000", encoded("JPEG2000")),
        ("JPEG 2000", encoded("JPEG2000", no_jp2=True)),
        ("HEIC", b"\0\0\0\x24ftypheic\0\0\0\0mif1heic"),
        ("HEIC", b"\0\0\0\x18ftypmif1\0\0\0\0"),
        ("JPEG XL", b"\xff\x0a\x7f\x1a"),
        ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n"),
        ("camera raw", b"II*\0\x10\0\0\0CR\x02\0"),
        ("camera raw", b"\0\0\0\x18ftypcrx \0\0\0\1"),
        ("camera raw", b"FUJIFILMCCD-RAW 0201"),
        ("Photoshop", b"8BPS\0\1"),
        ("DICOM", bytes(128) + b"DICM"),
        ("PFM", b"Pf\n2 2\n-1.0\n"),
        ("QOI", b"qoif\0\0\0\1"),
    ],
)
def test_other_image_formats_are_named(kind: str, head: bytes) -> None:
    """An image that is not decoded is `unsupported`, by name, with what to do."""
    with pytest.raises(DataError, match=f"'x' is {kind}, which is not decoded") as caught:
        check_is_decoded(head[:SIGNATURE_BYTES], "'x'")

    assert ("unsupported", "convert it to PNG or JPEG") == (caught.value.status, caught.value.hint)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0",
        b"hello\n",
        b"<!DOCTYPE html>",
        b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"PyP\n4 4\n255\n",
        b"P7\nWIDTH 4\n",
        b"RIFF\0\0\0\0AVI ",
        b"\0\0\0\x20ftypisom\0\0\2\0",
        b"MZ\x90\0",
        bytes(SIGNATURE_BYTES),
    ],
)
def test_everything_else_is_no_image(head: bytes) -> None:
    """Nothing, text, documents, programs, videos, and Pillow's own inventions."""
    assert "not-an-image" == status_of(head)
