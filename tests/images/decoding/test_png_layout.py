"""A PNG has all its rows, and they are those that were written."""

import struct
import zlib

import numpy as np
import pytest

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess

KINDS = [
    *((depth, 0) for depth in (1, 2, 4, 8, 16)),
    *((depth, 3) for depth in (1, 2, 4, 8)),
    *((depth, colour) for depth in (8, 16) for colour in (2, 4, 6)),
]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
SIDES = [(1, 1), (1, 4), (4, 1), (2, 3), (3, 2), (5, 5), (8, 9), (9, 8)]
# The book draws which of seven passes each pixel of a square of eight is in.
ADAM7 = [
    "16462646",
    "77777777",
    "56565656",
    "77777777",
    "36463646",
    "77777777",
    "56565656",
    "77777777",
]
MARK = (0xA5, 0x5A, 0xC3)


def chunk(kind: bytes, content: bytes, *, damage: int = 0) -> bytes:
    """A chunk, with a wrong checksum if asked for."""
    checksum = zlib.crc32(kind + content) ^ damage
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(
    size: tuple[int, int],
    kind: tuple[int, int],
    raw: bytes,
    *,
    interlaced: bool = False,
    split: int | None = None,
    damage: int = 0,
) -> bytes:
    """A PNG of width and height whose rows, filters included, are given."""
    header = struct.pack(">IIBBBBB", *size, *kind, 0, 0, interlaced)
    data = zlib.compress(raw)
    split = len(data) if split is None else split
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"PLTE", bytes([0, 0, 0, 9, 9, 9])) if kind[1] == 3 else b"",
            chunk(b"IDAT", data[:split], damage=damage),
            chunk(b"IDAT", data[split:]) if data[split:] else b"",
            chunk(b"IEND", b""),
        ]
    )


def row_bytes(size: tuple[int, int], kind: tuple[int, int], *, interlaced: bool) -> list[int]:
    """How long each row is in the order of the file, counted pixel by pixel."""
    width, height = size
    bits = kind[0] * SAMPLES[kind[1]]
    rows: dict[tuple[str, int], int] = {}
    for y in range(height):
        for x in range(width):
            place = (ADAM7[y % 8][x % 8] if interlaced else "1", y)
            rows[place] = rows.get(place, 0) + bits
    return [1 + (length + 7) // 8 for _, length in sorted(rows.items())]


def decoded(payload: bytes) -> np.ndarray:
    """Pixels at a size that all of these have."""
    return Preprocess(4, resize="stretch").decode(payload, "'x'")


def refused(payload: bytes) -> str:
    """The reason why a file is damaged."""
    with pytest.raises(DataError, match="cannot decode 'x': ") as caught:
        decoded(payload)
    assert "unreadable" == caught.value.status
    return str(caught.value)


@pytest.mark.parametrize("interlaced", [False, True], ids=["", "interlaced"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_all_rows_must_be_there(kind: tuple[int, int], interlaced: bool) -> None:
    """Black or of ones, of any depth, colour and size, every row counts, the last one, too."""
    for size in SIDES:
        rows = row_bytes(size, kind, interlaced=interlaced)
        # A palette of two has no more, and what is transparent everywhere is another matter.
        levels = [0xFF] if kind[1] in (4, 6) else [0] if kind[1] == 3 else [0, 0xFF]
        for level in levels:
            whole = [b"\0" + bytes([level]) * (length - 1) for length in rows]

            decoded(png(size, kind, b"".join(whole), interlaced=interlaced))

            for count in range(len(rows)):
                raw = b"".join(whole[:count])
                reason = refused(png(size, kind, raw, interlaced=interlaced))
                assert "rows are missing" in reason or "truncated" in reason


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_picture_of_any_colour_is_whole(count: int) -> None:
    """Of that by which missing rows are told, too."""
    rows = [b"\0" + bytes(12)] * count + [b"\0" + bytes(MARK) * 4] * (4 - count)

    found = decoded(png((4, 4), (8, 2), b"".join(rows)))

    expected = [[[0, 0, 0]] * 4] * count + [[list(MARK)] * 4] * (4 - count)
    assert expected == found.tolist()


def test_data_behind_the_last_row_do_not_matter() -> None:
    """Encoders may write more; what is asked for is there."""
    raw = (b"\0" + bytes(MARK) * 4) * 9

    assert [[list(MARK)] * 4] * 4 == decoded(png((4, 4), (8, 2), raw)).tolist()


@pytest.mark.parametrize("side", [8, 80], ids=["small", "large"])
def test_damage_behind_the_last_row_does_not_matter(side: int) -> None:
    """Small pictures have their data counted, and what is over may be anything."""
    rows = (b"\0" + bytes(range(side))) * side
    deflater = zlib.compressobj()
    data = (
        deflater.compress(rows + bytes(range(256)) * 99)
        + deflater.flush(zlib.Z_SYNC_FLUSH)
        + b"\xff" * 20
    )
    file = png((side, side), (8, 0), rows).replace(
        chunk(b"IDAT", zlib.compress(rows)), chunk(b"IDAT", data)
    )

    found = Preprocess(side).decode(file)

    np.testing.assert_array_equal(np.arange(side), found[-1, :, 0])


@pytest.mark.parametrize("split", [0, 1, 20])
def test_data_may_be_split_anywhere(split: int) -> None:
    """Chunks of data have any length, and rows are counted over all of them."""
    rows = [b"\0" + bytes(range(12))] * 4

    found = decoded(png((4, 4), (8, 2), b"".join(rows), split=split))

    assert [[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]] * 4 == found.tolist()
    refused(png((4, 4), (8, 2), b"".join(rows[:3]), split=split))


@pytest.mark.parametrize("split", [None, 20])
def test_other_data_than_were_written_are_refused(split: int | None) -> None:
    """Whatever picture they would give."""
    rows = [b"\0" + bytes(range(12))] * 4

    reason = refused(png((4, 4), (8, 2), b"".join(rows), split=split, damage=1))

    assert "its data are damaged, by their checksum" in reason


def test_a_frame_smaller_than_its_animation_stands_on_black() -> None:
    """Nothing is written beside it, in its last row either."""
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    frame = struct.pack(">IIIIIHHBB", 0, 2, 2, 2, 2, 1, 1, 0, 0)
    parts = [(b"IHDR", header), (b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", frame)]
    parts += [(b"IDAT", zlib.compress((b"\0" + bytes(MARK) * 2) * 2)), (b"IEND", b"")]

    found = decoded(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))

    black, colour = [0, 0, 0], list(MARK)
    assert [[black] * 4] * 2 + [[black, black, colour, colour]] * 2 == found.tolist()
