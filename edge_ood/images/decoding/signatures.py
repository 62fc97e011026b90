"""What a file is, by its first bytes: its name and ending say nothing."""

import re

from edge_ood.errors import DataError

__all__ = ["DECODED_FORMATS", "SIGNATURE_BYTES", "check_is_decoded"]

DECODED_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats by Pillow's names. Some of its other plugins start programs on what they are given, and
others are there in some versions only; scores must not depend on that."""

SIGNATURE_BYTES = 132
"""How much of a file tells what it is."""

_DECODED = re.compile(
    rb"BM|GIF8[79]a|\xff\xd8\xff|\x89PNG\r\n\x1a\n|P[1-6]\s"
    rb"|II\*\0|MM\0\*|II\+\0|MM\0\+|RIFF.{4}WEBP",
    re.DOTALL,
)
_OTHERS = {
    "AVIF": rb".{4}ftypavi[fs]",
    "HEIC": rb".{4}ftyp(?:he[iv][cmsx]|mif1|msf1)",
    "camera raw": rb".{4}ftypcrx |II\*\0.{4}CR|IIU\0|IIR[OS]|FUJIFILMCCD-RAW",
    "JPEG XL": rb"\xff\x0a|\0{3}\x0cJXL ",
    "JPEG 2000": rb"\xff\x4f\xff\x51|\0{3}\x0cjP {2}",
    "Photoshop": rb"8BPS",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "PFM": rb"P[Ff]\s",
    "Radiance": rb"#\?(?:RADIANCE|RGBE)",
    "QOI": rb"qoif",
    "DICOM": rb".{128}DICM",
}
# One group for each, so that one match tells which it is.
_NOT_DECODED = re.compile(b"|".join(b"(%b)" % each for each in _OTHERS.values()), re.DOTALL)


def check_is_decoded(head: bytes, name: str) -> None:
    """Refuse a file that begins like none of `DECODED_FORMATS`.

    Args:
        head: The first `SIGNATURE_BYTES` of the file, or more.
        name: What messages call it.

    Raises:
        DataError: With the status `unsupported` if it is an image of another format, else
            `not-an-image`.
    """
    if other := _NOT_DECODED.match(head):
        kind = list(_OTHERS)[(other.lastindex or 0) - 1]
        raise DataError(
            f"{name} is {kind}, which is not decoded",
            hint="convert it to PNG or JPEG",
            status="unsupported",
        )
    if not _DECODED.match(head):
        raise DataError(
            f"{name} is not an image" if head else f"{name} is not an image: it has 0 bytes",
            hint="remove it, or convert it to PNG or JPEG",
            status="not-an-image",
        )
