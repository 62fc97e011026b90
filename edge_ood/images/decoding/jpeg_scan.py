"""Whether the data of a JPEG are as much as its picture needs: libjpeg does not say.

Where data are missing it fills up with grey; what is over it leaves. A file that was cut and got an
end marker, and one that lost a block, look whole to it. So it gets the data without the end marker:
what it wants more than there is, it has to ask for, and that is an error here.

This tells where the one scan of a sequential picture is cut, to the last block or two. Where a
part is lost amid the data a decoder loses its step, and mostly ends with data over or too few.
Nobody can tell for the last scan of a progressive picture, or within an interval between restart
markers, at less than the price of decoding it twice.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.jpeg_layout import JPEG_END, JpegLayout, scan_markers

__all__ = ["refusing_lost_data"]

_HELD_BACK = 64
"""Bytes at the end of the data that a decoder gets apart; sound files leave at most a few over."""

_ONES = b"\xff\0" * 8
"""A decoder looks up to eight bytes ahead. Ones alone are no code: no block is made of these."""

_MORE_PICTURES = b"MPF\0"


class JpegScan:
    """The one scan of a JPEG file that Pillow has opened, without its end marker.

    Args:
        file: What Pillow reads.
        payload: The bytes of the file.
        start: Where the data of its scan begin.
        end: Where the end marker stands.

    Attributes:
        is_short: Whether the decoder wanted more than there is.
    """

    def __init__(self, file: io.BytesIO, payload: bytes, start: int, end: int) -> None:
        self._file, self._payload, self._start, self._end = file, payload, start, end
        self._held = max(start, end - _HELD_BACK)
        self._ones = _ONES
        self.is_short = False

    def read(self, size: int) -> bytes:
        """Never over the beginning of what is held back; behind the data come ones, once."""
        here = self._file.tell()
        if here >= self._end:
            self.is_short = not self._ones
            ones, self._ones = self._ones, b""
            return ones
        there = self._held if here < self._held else self._end
        return self._file.read(min(size, there - here))

    def check_all_read(self, name: str) -> None:
        """Refuse a file that has more data than its decoded picture needed.

        Raises:
            DataError: If they are more than an encoder's padding.
        """
        left = self._payload[self._file.tell() : self._end].strip(b"\0\xff")
        # Unless the decoder met another end marker, before that of a picture behind this one.
        if left and scan_markers(self._payload, self._start)[1] == self._end:
            raise _lost(name)


@contextmanager
def refusing_lost_data(
    image: Image.Image, file: io.BytesIO, layout: JpegLayout | None, name: str
) -> Iterator[None]:
    """Inside the block, a JPEG that was opened is loaded: if it is one that tells, data must fit.

    Args:
        image: The opened file.
        file: What Pillow reads.
        layout: What stands before its data.
        name: What messages call it.

    Raises:
        DataError: If data are over or too few.
    """
    payload = file.getvalue()
    end = _end_of_scan(payload, layout) if layout is not None else -1
    if layout is None or end < layout.scan[1]:
        yield
        return
    scan = JpegScan(file, payload, layout.scan[1], end)
    image.load_read = scan.read  # type: ignore[attr-defined]  # Pillow's plugins define it
    try:
        yield
    except OSError as error:
        if scan.is_short:
            raise _lost(name) from error
        raise
    scan.check_all_read(name)


def _end_of_scan(payload: bytes, layout: JpegLayout) -> int:
    """Where the data of a scan end that is the only one, and codes its blocks as usual; else -1."""
    if not layout.is_one_huffman_scan:
        return -1
    if payload.endswith(JPEG_END) and payload.find(_MORE_PICTURES, 0, layout.scan[0]) < 0:
        return len(payload) - len(JPEG_END)
    # What stands behind the picture may hold end markers, too; to look for its own takes time.
    return scan_markers(payload, layout.scan[1])[1]


def _lost(name: str) -> DataError:
    return DataError(
        f"cannot decode {name}: a part of its data is lost", hint="remove or repair it"
    )
