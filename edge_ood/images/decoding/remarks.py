"""What stands in a file beside its image, left out bit by bit where Pillow fails at it.

Long or damaged texts, profiles, comments and thumbnails are no reason to refuse sound pixels.
"""

from collections.abc import Collection, Iterator

from edge_ood.images.decoding.jpeg_layout import segments
from edge_ood.images.decoding.png_layout import PNG_SIGNATURE, without_remarks

__all__ = ["with_fewer_remarks"]

_PNG_KEPT: tuple[Collection[bytes], ...] = ((b"eXIf", b"tEXt", b"zTXt", b"iTXt"), (b"eXIf",), ())
"""What may tell an orientation, less and less of it."""

_JPEG_SIGNATURE = b"\xff\xd8\xff"
_EXIF, _COMMENT = 0xE1, 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
_DECIDING = {0xE0: 16, 0xEE: 14}
"""JFIF and Adobe segments say what the colours are; libjpeg passes over shorter ones."""


def with_fewer_remarks(payload: bytes) -> Iterator[bytes]:
    """The file without what does not decide its pixels; what may turn them upright goes last."""
    shortest = len(payload)
    for fewer in _variants(payload):
        if len(fewer) < shortest:
            shortest = len(fewer)
            yield fewer


def _variants(payload: bytes) -> Iterator[bytes]:
    if payload.startswith(PNG_SIGNATURE):
        yield from (without_remarks(payload, kept) for kept in _PNG_KEPT)
    elif payload.startswith(_JPEG_SIGNATURE):
        yield from (_bare_jpeg(payload, kept) for kept in ((_EXIF,), ()))


def _bare_jpeg(payload: bytes, kept: Collection[int]) -> bytes:
    """A JPEG without application segments and comments before its first scan."""
    parts, done = [payload[:2]], 2
    for marker, start, end in segments(payload):
        done = end
        is_remark = marker == _COMMENT or marker in _APPLICATIONS
        if not is_remark or marker in kept or end - start >= _DECIDING.get(marker, len(payload)):
            parts.append(payload[start:end])
    return b"".join([*parts, payload[done:]])
