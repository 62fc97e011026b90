"""What a JPEG file is made of, looked at before it is decoded: libjpeg takes more than it should.

What a camera left when its power failed has the right length but zeros for an end, and a picture
is made of them. And each scan of a progressive picture goes over all of it: a file of a megabyte
can hold thousands, and keep a processor busy for many minutes.
"""

import re

from edge_ood.errors import DataError

__all__ = ["check_jpeg_layout"]

_MOST_SCANS = 100
"""Encoders make about ten."""

_START_OF_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_FRAME_STARTS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
# In a scan, 0xFF stands before a zero, a restart marker or more of its kind; else a scan is over.
_AFTER_SCAN = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")


def check_jpeg_layout(payload: bytes, name: str) -> None:
    """Refuse a JPEG whose picture, whatever its thumbnail has, lacks an end or has endless scans.

    A file that is not laid out as usual passes; decoding will tell.

    Raises:
        DataError: With the status `unreadable` or `too-large`.
    """
    position, may_have_scans = _first_scan(payload)
    if position < 0:
        return
    if payload.rfind(_END, position) < 0:
        raise DataError(f"cannot decode {name}: its data have no end", hint="remove or repair it")
    # Counting bytes is fast but counts those behind the picture, too.
    if may_have_scans and payload.count(_START_OF_SCAN, position) > _MOST_SCANS:
        scans = _count_scans(payload, position)
        if scans > _MOST_SCANS:
            raise DataError(
                f"{name} is too large: more than {_MOST_SCANS} scans",
                hint="save it again",
                status="too-large",
            )


def _first_scan(payload: bytes) -> tuple[int, bool]:
    """Where the first scan begins, or -1; and whether others may follow."""
    position, components, is_progressive = 2, 0, False
    while payload[position : position + 2] != _START_OF_SCAN:
        length = int.from_bytes(payload[position + 2 : position + 4])
        if payload[position : position + 1] != b"\xff" or length < 2:
            return -1, False
        if payload[position + 1] in _FRAME_STARTS:
            is_progressive = payload[position + 1] in _PROGRESSIVE
            components = int.from_bytes(payload[position + 9 : position + 10])
        position += 2 + length
    in_first = int.from_bytes(payload[position + 4 : position + 5])
    return position, is_progressive or in_first < components


def _count_scans(payload: bytes, position: int) -> int:
    """How many scans the picture has, or one more than are too many."""
    scans = 0
    while scans <= _MOST_SCANS and payload[position : position + 2] != _END:
        scans += payload[position : position + 2] == _START_OF_SCAN
        length = int.from_bytes(payload[position + 2 : position + 4])
        found = _AFTER_SCAN.search(payload, position + 2 + length)
        if found is None:
            break
        position = found.start()
    return scans
