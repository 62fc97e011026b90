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

from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.jpeg_layout import JpegLayout, end_of_scan, marker_behind

__all__ = ["load_jpeg"]

_HELD_BACK = 64
"""Bytes at the end of the data that a decoder gets apart; sound files leave at most a few over."""

_ONES = b"\xff\0" * 8
"""A decoder looks up to eight bytes ahead. Ones alone are no code: no block is made of these."""

_PADDING = b"\0\xff"


def load_jpeg(
    image: Image.Image, file: io.BytesIO, *, layout: JpegLayout | None, name: str
) -> None:
    """Load a JPEG that was opened; if it is one that tells, data must fit its picture.

    Args:
        image: The opened file.
        file: What Pillow reads.
        layout: What stands before its data.
        name: What messages call it.

    Raises:
        DataError: If data are over or too few.
    """
    payload = file.getvalue()
    end = end_of_scan(payload, layout) if layout and layout.is_one_huffman_scan else -1
    if layout is None or end < layout.scan[1]:
        image.load()
        return
    scan = _Scan(file, layout.scan[1], end)
    image.load_read = scan.read  # type: ignore[attr-defined]  # Pillow's plugins define it
    try:
        image.load()
    except OSError as error:
        if scan.is_short:
            raise _lost(name) from error
        raise
    left = payload[file.tell() : end].strip(_PADDING)
    # Unless the decoder met another end marker, before that of a picture behind this one.
    if left and marker_behind(payload, layout.scan[1]) == end:
        raise _lost(name)


class _Scan:
    """The one scan of a JPEG file, without its end marker.

    Args:
        file: The file.
        start: Where the data of the scan begin.
        end: Where the end marker stands.

    Attributes:
        is_short: Whether the decoder wanted more than there is.
    """

    def __init__(self, file: io.BytesIO, start: int, end: int) -> None:
        self._file, self._end = file, end
        self._held = max(start, end - _HELD_BACK)
        self.is_short = False

    def read(self, size: int) -> bytes:
        """Never over the beginning of what is held back, which comes with ones behind it."""
        here = self._file.tell()
        if here < self._held:
            return self._file.read(min(size, self._held - here))
        self.is_short = here >= self._end
        return b"" if self.is_short else self._file.read(self._end - here) + _ONES


def _lost(name: str) -> DataError:
    return DataError(
        f"cannot decode {name}: a part of its data is lost", hint="remove or repair it"
    )
