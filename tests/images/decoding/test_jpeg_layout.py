"""A JPEG's end and its scans, told without decoding it."""

import io

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
