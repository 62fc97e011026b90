"""A TIFF's strips and tiles are all listed, or it is no whole picture."""

import struct

import numpy as np
import pytest

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess

GREY, RGB = 1, 2


def tiff(
    samples: int, blocks: list[bytes], *, width: int, height: int, tags: dict[int, int]
) -> bytes:
    """A TIFF of 8 bits, 4 x 4 pixels, whose blocks are those listed."""
    offsets, counts = (324, 325) if 322 in tags else (273, 279)
    fields: dict[int, list[int]] = {256: [width], 257: [height], 258: [8] * samples, 259: [1]}
    fields |= {262: [RGB if samples == 3 else GREY], 277: [samples]}
    fields |= {tag: [value] for tag, value in tags.items()}
    fields |= {counts: [len(block) for block in blocks], offsets: []}
    start = 8
    for block in blocks:
        fields[offsets].append(start)
        start += len(block)
    values, entries = b"", b""
    for tag, numbers in sorted(fields.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        place = packed if len(packed) == 4 else struct.pack("<I", start + len(values))
        entries += struct.pack("<HHI", tag, 4, len(numbers)) + place
        values += packed if len(packed) > 4 else b""
    directory = start + len(values)
    head = b"II*\0" + struct.pack("<I", directory)
    return head + b"".join(blocks) + values + struct.pack("<H", len(fields)) + entries + bytes(4)


def refused(payload: bytes) -> None:
    """It is damaged, for want of blocks."""
    with pytest.raises(DataError, match="'x': strips or tiles are missing") as caught:
        Preprocess(4).decode(payload, "'x'")
    assert "unreadable" == caught.value.status


def test_all_strips_must_be_listed() -> None:
    """Of one row, or of three and one."""
    rows = [bytes(range(4 * i, 4 * i + 4)) for i in range(4)]
    for per_strip in (1, 3):
        strips = [b"".join(rows[i : i + per_strip]) for i in range(0, 4, per_strip)]
        options = {"width": 4, "height": 4, "tags": {278: per_strip}}

        found = Preprocess(4).decode(tiff(1, strips, **options))

        assert list(range(16)) == found[:, :, 0].ravel().tolist()
        for count in range(1, len(strips)):
            refused(tiff(1, strips[:count], **options))


def test_all_tiles_must_be_listed() -> None:
    """Four of 16 pixels a side, which the picture does not fill."""
    tiles = [bytes([level]) * 256 for level in (10, 20, 30, 40)]
    options = {"width": 20, "height": 20, "tags": {322: 16, 323: 16}}

    found = Preprocess(20).decode(tiff(1, tiles, **options))

    quarters = [found[0, 0, 0], found[0, 19, 0], found[19, 0, 0], found[19, 19, 0]]
    assert [10, 20, 30, 40] == quarters
    for count in (1, 2, 3):
        refused(tiff(1, tiles[:count], **options))


def test_all_planes_must_be_listed() -> None:
    """Red, green and blue apart, each in two strips."""
    planes = [bytes([level]) * 8 for level in (1, 1, 2, 2, 3, 3)]
    options = {"width": 4, "height": 4, "tags": {278: 2, 284: 2}}

    found = Preprocess(4).decode(tiff(3, planes, **options))

    np.testing.assert_array_equal(np.broadcast_to([1, 2, 3], (4, 4, 3)), found)
    for count in (1, 2, 4, 5):
        refused(tiff(3, planes[:count], **options))
