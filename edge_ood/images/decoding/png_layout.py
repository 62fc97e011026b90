"""What a PNG file is made of: its data are checked, and what is said about them can be left out.

Pillow neither looks at the checksums of image data nor counts the rows that they hold: a row that
is missing is black. On the other hand it fails at what stands beside sound data: long texts and
colour profiles, and a wrong checksum of a remark.
"""

import struct
import zlib
from collections.abc import Collection, Iterator

from edge_ood.errors import DataError

__all__ = ["PNG_SIGNATURE", "check_png_data", "has_all_rows", "without_remarks"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PIECE = 2**16
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_ORIENTING = (b"exif", b"Raw profile type exif", b"XML:com.adobe.xmp", b"xmp")
"""Texts that Pillow takes an orientation from."""

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Where each pass of an interlaced image begins, and its steps: x, y, across, down.
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_PLAIN = ((0, 0, 1, 1),)


def check_png_data(payload: bytes, name: str) -> None:
    """Refuse a PNG whose image data are cut off, or not those that were written.

    Raises:
        DataError: If a checksum is wrong or missing.
    """
    view = memoryview(payload)  # a slice of bytes would be a copy
    for kind, start, end in _chunks(payload):
        if kind == b"IDAT" and _checksum(payload, end) != zlib.crc32(view[start - 4 : end]):
            raise DataError(
                f"cannot decode {name}: its data are damaged, by their checksum",
                hint="remove or repair it",
            )


def has_all_rows(payload: bytes) -> bool:
    """Whether the data of a PNG that was decoded are as many as its header says.

    It takes as long as to decode it.
    """
    missing = _expected_bytes(payload)
    inflater = zlib.decompressobj()
    for kind, start, end in _chunks(payload):
        data = payload[start:end] if kind == b"IDAT" else b""
        while data and missing > 0 and not inflater.eof:
            try:
                missing -= len(inflater.decompress(data, _PIECE))
            except zlib.error:
                return True  # behind the last row: up to there it was decoded
            data = inflater.unconsumed_tail
    return missing <= 0


def without_remarks(payload: bytes, kept: Collection[bytes]) -> bytes:
    """A PNG without what does not belong to the image and without damaged remarks.

    Args:
        payload: The bytes of a file.
        kept: Remarks to keep if they are whole; `tRNS` is always kept, whatever its state. Of texts
            only those are kept that may tell an orientation.
    """
    parts = [PNG_SIGNATURE]
    for kind, start, end in _chunks(payload):
        is_remark = bool(kind[0] & 0x20) and kind != b"tRNS"
        if not is_remark or (kind in kept and _is_useful(payload, kind, start, end)):
            parts.append(payload[start - 8 : end + 4])
    return b"".join(parts)


def _is_useful(payload: bytes, kind: bytes, start: int, end: int) -> bool:
    content = payload[start:end]
    is_whole = _checksum(payload, end) == zlib.crc32(kind + content)
    return is_whole and (kind not in _TEXTS or content.partition(b"\0")[0] in _ORIENTING)


def _chunks(payload: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk and where its content begins and ends, up to the last."""
    kind, position = b"", len(PNG_SIGNATURE)
    while kind != b"IEND" and position + 8 <= len(payload):
        length = int.from_bytes(payload[position : position + 4])
        kind = payload[position + 4 : position + 8]
        yield kind, position + 8, position + 8 + length
        position += 12 + length


def _checksum(payload: bytes, end: int) -> int:
    """The number behind a chunk's content; -1 where it is cut off."""
    stored = payload[end : end + 4]
    return int.from_bytes(stored) if len(stored) == 4 else -1


def _expected_bytes(payload: bytes) -> int:
    start = next(start for kind, start, _ in _chunks(payload) if kind == b"IHDR")
    width, height, depth, colour, *_, interlaced = struct.unpack_from(">IIBBBBB", payload, start)
    bits = depth * _SAMPLES.get(colour, 0)
    total = 0
    for x, y, across, down in _PASSES if interlaced else _PLAIN:
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        # Each row begins with its filter; a pass without columns has no rows either.
        total += rows * (1 + -(-columns * bits // 8)) if min(columns, rows) > 0 else 0
    return total
