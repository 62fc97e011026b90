"""Whether the data of a JPEG are as much as its picture needs: libjpeg does not say.

Where data are missing it fills up with grey; what is over it leaves. A file that was cut and got an
end marker, and one that lost a block, look whole to it. So it gets the data without the end marker:
what it wants more than there is, it has to ask for, and that is an error here.

A picture of several scans, as a progressive one, needs its end marker. But behind the data of each
scan a decoder looks for the next marker and passes over anything else, while amid them it leaves
what is no whole block until more comes. So each scan gets something behind it, and what the decoder
leaves of that tells.

This tells where a scan is cut, to the last block or two. Where a part is lost amid the data a
decoder loses its step, and mostly ends with data over or too few. Nobody can tell for an interval
between restart markers, at less than the price of decoding it twice.
"""

import io
from collections.abc import Iterator, Sequence

from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.jpeg_layout import JPEG_END, JpegLayout, end_of_scan, marker_behind

__all__ = ["load_jpeg"]

_HELD_BACK = 64
"""Bytes at the end of the data that a decoder gets apart; sound files leave at most a few over."""

_ONES = b"\xff\0" * 8
"""A decoder looks up to eight bytes ahead. Ones alone are no code: no block is made of these."""

_MARKER_BYTE = 0xFF
_PADDING = b"\0\xff"

_LARGE = 512
"""Bytes of a scan among several in which it is looked for data over: no block on a disk is less."""


def load_jpeg(
    image: Image.Image, file: io.BytesIO, *, layout: JpegLayout | None, name: str
) -> None:
    """Load a JPEG that was opened; if it is one that tells, data must fit its picture.

    That is: if the coding is Huffman's and the layout as usual.

    Args:
        image: The opened file.
        file: What Pillow reads.
        layout: What stands before its data.
        name: What messages call it.

    Raises:
        DataError: If data are over or too few.
    """
    payload = file.getvalue()
    if layout and layout.is_huffman and layout.data:
        pieces = _pieces(payload, layout.data, name)
        image.load_read = lambda _: next(pieces, b"")  # type: ignore[attr-defined]  # as below
        image.load()
        return
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


class _Piece(bytes):
    """A piece of a file that knows what the decoder had left of those before.

    Pillow adds each piece to that; if it ever does not, `left` stays None, and nothing is told.
    """

    left: int | None = None

    def __radd__(self, left: bytes) -> bytes:
        self.left = len(left)
        return b"".join((left, self))


def _pieces(payload: bytes, scans: Sequence[tuple[int, int]], name: str) -> Iterator[bytes]:
    """A JPEG up to its end marker; each scan is looked at once the next piece is asked for.

    Args:
        payload: The bytes of a file.
        scans: Where their data begin and end.
        name: What messages call it.

    Raises:
        DataError: If data of a scan are over or too few.
    """
    done = 0
    for start, end in scans:
        held = _plain_byte(payload, end - _HELD_BACK, end) if end - start >= _LARGE else end
        if held < end:
            # A decoder passes over this byte, of no marker, only if it does not need it.
            yield payload[done:held]
            over = _Piece(payload[held : held + 1]), _Piece(payload[held + 1 : end] + _ONES)
            yield from over
            if all(piece.left == 0 for piece in over) and payload[held:end].strip(_PADDING):
                raise _lost(name)
        else:
            yield payload[done:end] + _ONES
        behind = _Piece(b"\0"), _Piece(b"\0")
        yield from behind
        if any(piece.left for piece in behind):
            raise _lost(name)
        done = end
    yield payload[done : done + len(JPEG_END)]


def _plain_byte(payload: bytes, position: int, end: int) -> int:
    """Where the first byte from there on stands that is no part of a marker; `end` if none is."""
    while position < end and _MARKER_BYTE in payload[position - 1 : position + 1]:
        position += 1
    return position


def _lost(name: str) -> DataError:
    return DataError(
        f"cannot decode {name}: a part of its data is lost", hint="remove or repair it"
    )
