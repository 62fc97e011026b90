"""What a JPEG file is made of, looked at before it is decoded: libjpeg takes more than it should.

What a camera left when its power failed has the right length but zeros for an end, and a picture
is made of them. Where a block of a file was lost, libjpeg leaves grey or goes on elsewhere. And
each scan of a progressive picture goes over all of it: a file of a megabyte can hold thousands, and
keep a processor busy for many minutes.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from edge_ood.errors import DataError

__all__ = [
    "JPEG_END",
    "JpegLayout",
    "check_jpeg_layout",
    "end_of_scan",
    "jpeg_layout",
    "marker_behind",
    "segments",
]

JPEG_END = b"\xff\xd9"

_MOST_SCANS = 100
"""Encoders make about ten."""

_START_OF_SCAN, _RESTART_INTERVAL = 0xDA, 0xDD
_FRAME_STARTS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HUFFMAN = {0xC0, 0xC1, 0xC2}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_COEFFICIENTS = 64
# In a scan, 0xFF stands before a zero, a restart marker or more of its kind; else a scan is over.
_AFTER_SCAN = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")
_RESTARTS = bytes(range(0xD0, 0xD8))
_MARKER = re.compile(rb"\xff([^\0\xff])")
_FILL, _HEAD = 0xFF, struct.Struct(">BBH")
_MORE_PICTURES = b"MPF\0"


class JpegLayout(NamedTuple):
    """What stands before the data of the first scan.

    Attributes:
        scan: Where the first scan begins, and where its data do.
        process: The last byte of the frame's marker.
        size: Width and height, in pixels.
        sampling: Of each component, how many blocks an MCU has across and down.
        scanned: How many components the first scan has.
        restart_interval: MCUs between two restart markers; 0 if there are no markers.
        data: Where those of each scan begin and end, if there are several and an end marker; of one
            scan `end_of_scan` tells.
    """

    scan: tuple[int, int]
    process: int
    size: tuple[int, int]
    sampling: tuple[tuple[int, int], ...]
    scanned: int
    restart_interval: int
    data: tuple[tuple[int, int], ...] = ()

    @property
    def is_progressive(self) -> bool:
        """Whether each scan adds to the precision of the picture."""
        return self.process in _PROGRESSIVE

    @property
    def is_one_scan(self) -> bool:
        """Whether the first scan is all of the picture."""
        return not self.is_progressive and self.scanned >= len(self.sampling)

    @property
    def is_one_huffman_scan(self) -> bool:
        """The same, in the coding of nearly all files."""
        return self.is_one_scan and self.is_huffman

    @property
    def is_huffman(self) -> bool:
        """Whether its data are coded as in nearly all files, in one scan or several."""
        return self.process in _HUFFMAN

    @property
    def mcus(self) -> int:
        """How many units a scan of all components has."""
        width, height = self.size
        across, down = max(x for x, _ in self.sampling), max(y for _, y in self.sampling)
        if len(self.sampling) == 1:
            across = down = 1  # blocks of a component that is alone are coded one by one
        return -(-width // (8 * across)) * -(-height // (8 * down))


def segments(payload: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment up to the header of the first scan.

    Where a file is not laid out as usual, they end before.
    """
    marker, position = 0, 2
    while marker != _START_OF_SCAN and position + _HEAD.size <= len(payload):
        fill, marker, length = _HEAD.unpack_from(payload, position)
        if fill != _FILL or length < 2:
            return
        yield marker, position, position + 2 + length
        position += 2 + length


def jpeg_layout(payload: bytes) -> JpegLayout | None:
    """What stands before the data of the first scan; None for an unusual layout."""
    process, frame, interval = 0, b"", 0
    for marker, start, end in segments(payload):
        if marker in _FRAME_STARTS:
            process, frame = marker, payload[start + 4 : end]
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(payload[start + 4 : end])
        elif marker == _START_OF_SCAN:
            size = int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3])
            sampling = tuple(divmod(each, 16) for each in frame[7::3])
            if not sampling or not all(min(sides) for sides in sampling):
                return None
            scanned = int.from_bytes(payload[start + 4 : start + 5])
            return JpegLayout((start, end), process, size, sampling, scanned, interval)
    return None


def check_jpeg_layout(payload: bytes, name: str) -> JpegLayout | None:
    """Refuse a JPEG that lacks its end, scans or restart markers, or has endless scans.

    Those of its thumbnail do not count. A file that is not laid out as usual passes; decoding will
    tell.

    Returns:
        What `jpeg_layout` does, with `data`.

    Raises:
        DataError: With the status `unreadable` or `too-large`.
    """
    layout = jpeg_layout(payload)
    if layout is None:
        return None
    if payload.rfind(JPEG_END, layout.scan[0]) < 0:
        raise _damaged(name, "its data have no end")
    if not layout.is_one_scan:
        return layout._replace(data=_checked_scans(payload, layout, name))
    if layout.restart_interval and layout.is_one_huffman_scan:
        _check_restarts(payload, layout, name)
    return layout


def end_of_scan(payload: bytes, layout: JpegLayout) -> int:
    """Where the data of the first scan end: at its end marker, mostly; -1 if nothing ends them."""
    if payload.endswith(JPEG_END) and payload.find(_MORE_PICTURES, 0, layout.scan[0]) < 0:
        # What stands behind the picture may have one, too; then this is behind the end.
        return len(payload) - len(JPEG_END)
    return marker_behind(payload, layout.scan[1])


def marker_behind(payload: bytes, start: int) -> int:
    """Where the data of a scan that start there end, or -1; it takes time to look for it."""
    found = _AFTER_SCAN.search(payload, start)
    return found.start() if found else -1


def _check_restarts(payload: bytes, layout: JpegLayout, name: str) -> None:
    """One stands between any two intervals, and they are numbered in turn."""
    markers = b"".join(_MARKER.findall(payload, layout.scan[1]))
    found = markers[: len(markers) - len(markers.lstrip(_RESTARTS))]
    intervals = -(-layout.mcus // layout.restart_interval)
    in_turn = (_RESTARTS * (intervals // len(_RESTARTS) + 1))[:intervals]
    if found == in_turn:  # some encoders write one behind the last interval, too
        end = marker_behind(payload, layout.scan[1])
        found = found[:-1] if payload[end - 2 : end] == b"\xff" + in_turn[-1:] else found
    if found != in_turn[:-1]:
        raise _damaged(name, "a part of its data is lost")


def _checked_scans(payload: bytes, layout: JpegLayout, name: str) -> tuple[tuple[int, int], ...]:
    """Where their data are; they are not too many, and bring each coefficient to its last bit."""
    missing_bits: dict[int, bytearray] = {}
    data: list[tuple[int, int]] = []
    is_ended = False
    for marker, header, start, end in _segments_and_data(payload, layout.scan[0]):
        is_ended = end >= 0 and payload[end : end + 2] == JPEG_END
        if marker != _START_OF_SCAN:
            continue
        if len(data) == _MOST_SCANS:
            raise DataError(
                f"{name} is too large: more than {_MOST_SCANS} scans",
                hint="save it again",
                status="too-large",
            )
        data.append((start, end))
        _note_bits(missing_bits, header, layout)
    if len(missing_bits) < len(layout.sampling) or any(map(any, missing_bits.values())):
        raise _damaged(name, "scans are missing")
    return tuple(data) if is_ended else ()


def _note_bits(missing_bits: dict[int, bytearray], header: bytes, layout: JpegLayout) -> None:
    """Of each component, how many bits each coefficient lacks behind a scan with this header."""
    count = header[0] if header else 0
    if len(header) < 4 + 2 * count:
        return  # too short: it has no components
    first, last, bits = header[1 + 2 * count :][:3]
    if not layout.is_progressive:
        first, last, bits = 0, _COEFFICIENTS - 1, 0  # whatever stands there
    for component in header[1 : 1 + 2 * count : 2]:
        of_component = missing_bits.setdefault(component, bytearray(b"\xff" * _COEFFICIENTS))
        of_component[first : last + 1] = bytes([bits % 16]) * (last + 1 - first)


def _segments_and_data(payload: bytes, position: int) -> Iterator[tuple[int, bytes, int, int]]:
    """Marker and content of each segment up to the picture's end, and where data behind it are."""
    while payload[position : position + 2] != JPEG_END:
        start = position + 2 + int.from_bytes(payload[position + 2 : position + 4])
        end = marker_behind(payload, start)
        yield payload[position + 1], payload[position + 4 : start], start, end
        if end < 0:
            return
        position = end


def _damaged(name: str, reason: str) -> DataError:
    return DataError(f"cannot decode {name}: {reason}", hint="remove or repair it")
