"""A JPEG's end and its scans, told without decoding it."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.jpeg_layout import check_jpeg_layout

KINDS = [{}, {"progressive": True}, {"restart_marker_rows": 1}]
START_OF_SCAN, END = b"\xff\xda", b"\xff\xd9"
ONE_COMPONENT = START_OF_SCAN + b"\0\x08\1\1\0\0\x3f\0"


def encoded(**options: bool) -> bytes:
    """Noise as a file."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_thumbnail(payload: bytes) -> bytes:
    """A JPEG with another one in its EXIF segment, as cameras write it."""
    thumbnail = b"Exif\0\0" + encoded()
    return payload[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail + payload[2:]


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan, of a hundred bytes, is repeated."""
    payload = encoded(progressive=True)
    last = payload[payload.rindex(START_OF_SCAN) : -2]
    before = payload.count(START_OF_SCAN)
    return payload[:-2] + last * (count - before) + END


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize(
    "garbage", [b"", b"\0" * 50, encoded(), ONE_COMPONENT * 9000], ids=["", "0", "JPEG", "scans"]
)
def test_a_whole_jpeg_passes(options: dict[str, bool], garbage: bytes) -> None:
    """Whatever its kind and whatever stands behind it."""
    payload = encoded(**options) + garbage

    check_jpeg_layout(payload, "'x'")
    check_jpeg_layout(with_thumbnail(payload), "'x'")


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("filling", [b"", b"\0" * 1000])
def test_a_cut_jpeg_has_no_end(options: dict[str, bool], filling: bytes) -> None:
    """Zeros do not end it, and nor does its thumbnail."""
    payload = with_thumbnail(encoded(**options))

    for cut in range(2, 100):
        with pytest.raises(DataError, match="cannot decode 'x': its data have no end") as caught:
            check_jpeg_layout(payload[:-cut] + filling, "'x'")
        assert "unreadable" == caught.value.status


def test_endless_scans_are_too_large() -> None:
    """Each would go over the whole picture again."""
    check_jpeg_layout(with_scans(100), "'x'")

    with pytest.raises(DataError, match="'x' is too large: more than 100 scans") as caught:
        check_jpeg_layout(with_scans(101), "'x'")

    assert "too-large" == caught.value.status


def test_scans_of_one_component_each_are_counted() -> None:
    """A sequential JPEG can have many, too, when its first scan is not of all components."""
    payload = encoded()
    scan = payload.index(START_OF_SCAN)

    with pytest.raises(DataError, match="more than 100 scans"):
        check_jpeg_layout(payload[:scan] + ONE_COMPONENT * 101 + END, "'x'")


@pytest.mark.parametrize("payload", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\0", bytes(99)])
def test_an_unusual_layout_is_left_to_the_decoder(payload: bytes) -> None:
    """It has the better error."""
    check_jpeg_layout(payload, "'x'")


def intervals(payload: bytes) -> tuple[bytes, list[bytes]]:
    """What stands before the data, and the data between restart markers, each with its marker."""
    scan = payload.index(START_OF_SCAN)
    start = scan + 2 + int.from_bytes(payload[scan + 2 : scan + 4])
    parts = re.split(rb"(?=\xff[\xd0-\xd7])", payload[start:-2])
    return payload[:start], parts


def many_restarts() -> bytes:
    """Noise of 24 x 24 pixels in 9 blocks of one component, with a marker between any two."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", restart_marker_blocks=1)
    return buffer.getvalue()


def test_restart_markers_tell_what_is_lost() -> None:
    """Of nine intervals: one or eight left out, two swapped, one doubled, a marker overwritten."""
    head, parts = intervals(many_restarts())
    assert 9 == len(parts)
    damaged = {
        "one": parts[:4] + parts[5:],
        "eight": parts[:1],
        "last": parts[:8],
        "swapped": [*parts[:3], parts[4], parts[3], *parts[5:]],
        "doubled": [*parts[:4], *parts[3:]],
        "overwritten": [*parts[:3], bytes(2) + parts[3][2:], *parts[4:]],
    }

    check_jpeg_layout(head + b"".join(parts) + END, "'x'")
    for kind, left in damaged.items():
        with pytest.raises(DataError, match="'x': a part of its data is lost") as caught:
            check_jpeg_layout(head + b"".join(left) + END, kind and "'x'")
        assert "unreadable" == caught.value.status


def test_a_marker_behind_the_last_interval_is_no_loss() -> None:
    """Some encoders write one after each interval."""
    head, parts = intervals(many_restarts())

    check_jpeg_layout(head + b"".join(parts) + b"\xff\xd0" + END, "'x'")


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((1, 1), {}),
        ((17, 33), {}),
        ((33, 17), {"subsampling": 2}),
        ((33, 17), {"subsampling": 1}),
        ((100, 9), {"subsampling": 0}),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("blocks", [1, 3, 1000])
def test_markers_are_as_many_as_encoders_write(
    size: tuple[int, int], options: dict[str, int], mode: str, blocks: int
) -> None:
    """Whatever the size, the components and their sampling."""
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "JPEG", restart_marker_blocks=blocks, **options)

    layout = check_jpeg_layout(buffer.getvalue(), "'x'")

    assert layout is not None
    assert blocks == layout.restart_interval


def test_a_progressive_picture_has_all_scans() -> None:
    """Cut before any of its scans, with an end marker, it is not whole."""
    payload = encoded(progressive=True)
    scans = [match.start() for match in re.finditer(START_OF_SCAN, payload)]
    assert 10 == len(scans)

    for scan in scans[1:]:
        with pytest.raises(DataError, match="cannot decode 'x': scans are missing") as caught:
            check_jpeg_layout(payload[:scan] + END, "'x'")
        assert "unreadable" == caught.value.status


def test_a_picture_in_three_scans_has_all_three() -> None:
    """One for each component, in any order; without one of them its colours are missing."""
    payload = encoded()
    head = payload[: payload.index(START_OF_SCAN)]
    scans = [ONE_COMPONENT[:5] + bytes([number]) + ONE_COMPONENT[6:] for number in (2, 1, 3)]

    check_jpeg_layout(head + b"".join(scans) + END, "'x'")

    for left in (scans[:1], scans[:2], scans[1:], [scans[0]] * 3):
        with pytest.raises(DataError, match="scans are missing"):
            check_jpeg_layout(head + b"".join(left) + END, "'x'")


@pytest.mark.parametrize(
    "damage", [b"\xff\xda\0\2", b"\xff\xda\0\3\4", b"\xff\xda", b"\xff\xda\0\x08"]
)
def test_a_damaged_scan_is_no_bug(damage: bytes) -> None:
    """Headers that are too short send nothing."""
    payload = encoded(progressive=True)
    second = payload.index(START_OF_SCAN, payload.index(START_OF_SCAN) + 2)

    with pytest.raises(DataError, match="scans are missing"):
        check_jpeg_layout(payload[:second] + damage + END, "'x'")
