"""A JPEG's data are as much as its picture needs: neither cut nor with a block lost."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.jpeg_layout import check_jpeg_layout, jpeg_layout
from edge_ood.images.preprocess import Preprocess

END = b"\xff\xd9"
KINDS = [
    {},
    {"optimize": True},
    {"quality": 95, "subsampling": 0},
    {"subsampling": 1},
    {"restart_marker_rows": 1},
]
PROGRESSIVE = [
    {"progressive": True},
    {"progressive": True, "quality": 95, "subsampling": 0},
    {"progressive": True, "quality": 10, "subsampling": 1},
    {"progressive": True, "restart_marker_rows": 1},
]


def picture(height: int = 80, width: int = 80) -> Image.Image:
    """Noise over a gradient."""
    rows = np.linspace(0, 150, height, dtype=np.uint8)[:, None, None]
    noise = np.random.default_rng(0).integers(0, 100, (height, width, 3), np.uint8)
    return Image.fromarray(rows + noise)


def encoded(image: Image.Image, **options: object) -> bytes:
    """The bytes of a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def plain(payload: bytes) -> NDArray[np.uint8]:
    """The pixels, by Pillow alone."""
    with Image.open(io.BytesIO(payload)) as image:
        return np.asarray(image.convert("RGB"))


def data_of(payload: bytes) -> tuple[int, int]:
    """Where the data begin and end."""
    layout = jpeg_layout(payload)
    assert layout is not None
    return layout.scan[1], len(payload) - 2


def refused(payload: bytes, size_px: int = 80) -> str:
    """The reason why a file is damaged."""
    with pytest.raises(DataError, match="cannot decode 'x': ") as caught:
        Preprocess(size_px).decode(payload, "'x'")
    assert "unreadable" == caught.value.status
    return str(caught.value)


def sides() -> Iterator[tuple[int, int]]:
    """Sizes around the edges of blocks, in pixels."""
    yield from ((1, 1), (8, 8), (7, 9), (16, 15), (17, 33), (64, 200))


def in_three_scans() -> bytes:
    """Three grey JPEGs as the components of one: the data of each are the same there."""
    alone = [encoded(band, quality=90) for band in picture().split()]
    heads = [(payload[: data_of(payload)[0]], data_of(payload)) for payload in alone]
    frame = heads[0][0].index(b"\xff\xc0")
    sizes = heads[0][0][frame + 4 : frame + 9]
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    head = heads[0][0][:frame] + b"\xff\xc0" + (17).to_bytes(2) + sizes + b"\3" + components
    tables = heads[0][0][frame + 13 : heads[0][0].index(b"\xff\xda")]
    scans = [
        b"\xff\xda\0\x08\1" + bytes([number, 0, 0, 63, 0]) + payload[start:end]
        for number, payload, (_, (start, end)) in zip((1, 2, 3), alone, heads, strict=True)
    ]
    return head + tables + b"".join(scans) + END


def scans_of(payload: bytes) -> tuple[tuple[int, int], ...]:
    """Where the data of each of several scans begin and end."""
    layout = check_jpeg_layout(payload, "'x'")
    assert layout is not None
    return layout.data


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [*KINDS, *PROGRESSIVE])
def test_a_whole_jpeg_is_decoded(mode: str, options: dict[str, int]) -> None:
    """Of any size, coding and colours: to the pixels that Pillow gives."""
    for height, width in sides():
        payload = encoded(picture(height, width).convert(mode), **options)

        found = Preprocess(max(height, width), resize="stretch").decode(payload)

        resized = Preprocess(max(height, width), resize="stretch").fit(plain(payload))
        np.testing.assert_array_equal(resized, found)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("size_px", [80, 10], ids=["full", "draft"])
def test_a_cut_jpeg_with_an_end_marker_is_refused(options: dict[str, int], size_px: int) -> None:
    """Wherever it is cut, up to the last blocks of the picture."""
    payload = encoded(picture(), **options)
    start, end = data_of(payload)

    for cut in [*range(start, end - 100, 97), end - 100]:
        assert "a part of its data is lost" in refused(payload[:cut] + END, size_px)


@pytest.mark.parametrize(
    ("options", "filling"),
    [
        *((options, b"") for options in KINDS[:4]),
        *((options, bytes(500)) for options in KINDS[2:4]),
    ],
)
def test_a_jpeg_that_lost_a_part_is_mostly_refused(options: dict[str, int], filling: bytes) -> None:
    """The decoder loses its step, and has to be lucky to need just what there is."""
    payload = encoded(picture(240, 240), **options)
    start, end = data_of(payload)
    firsts = range(start, end - 600, 601)
    passed = 0

    for first in firsts:
        with contextlib.suppress(DataError):
            Preprocess(80).decode(payload[:first] + filling + payload[first + 500 :])
            passed += 1

    assert passed < len(firsts) / 10


@pytest.mark.parametrize("options", PROGRESSIVE[:3])
@pytest.mark.parametrize("size_px", [80, 10], ids=["full", "draft"])
def test_a_progressive_jpeg_that_is_cut_in_a_scan_is_refused(
    options: dict[str, int], size_px: int
) -> None:
    """In the last and any other, wherever it is cut, up to its last blocks."""
    payload = encoded(picture(), **options)

    for start, end in scans_of(payload):
        for cut in range(start, end - 100, 97):
            assert "a part of its data is lost" in refused(payload[:cut] + payload[end:], size_px)


def test_a_scan_that_is_empty_is_refused() -> None:
    """Its header alone makes the scans complete."""
    payload = encoded(picture(), progressive=True)

    for start, end in scans_of(payload):
        refused(payload[:start] + payload[end:])


def test_a_progressive_jpeg_that_lost_a_part_is_mostly_refused() -> None:
    """In its last scan as in the others; in that of noise, decoders often find their step again."""
    payload = encoded(picture(120, 120).resize((360, 360)), progressive=True)
    scans = scans_of(payload)
    firsts = range(scans[0][0], scans[-1][1] - 600, 211)
    passed = 0

    for first in firsts:
        with contextlib.suppress(DataError):
            Preprocess(80).decode(payload[:first] + payload[first + 512 :])
            passed += 1

    assert passed < len(firsts) / 10


def test_a_scan_with_data_left_over_is_refused() -> None:
    """As where a block was overwritten by one that fills more of the picture."""
    payload = encoded(picture(), progressive=True)

    for start, end in scans_of(payload):
        if end - start >= 512:
            more = payload[start:end].replace(b"\xff", b"\xfe")
            assert "lost" in refused(payload[:end] + more + payload[end:])


@pytest.mark.parametrize("padding", [b"\0", b"\1\2", bytes(700), b"\xff" * 99], ids=len)
def test_padding_of_scans_is_no_loss(padding: bytes) -> None:
    """Encoders fill up with zeros or ones, at the end of any scan."""
    payload = encoded(picture(), progressive=True)
    padded = payload
    for _, end in reversed(scans_of(payload)):
        padded = padded[:end] + padding + padded[end:]

    np.testing.assert_array_equal(Preprocess(80).decode(payload), Preprocess(80).decode(padded))


def test_a_sequential_jpeg_of_several_scans_is_refused_if_one_is_cut() -> None:
    """And decoded if none is."""
    payload = in_three_scans()

    found = Preprocess(80).decode(payload)

    np.testing.assert_array_equal(plain(payload), found)
    for start, end in scans_of(payload):
        for cut in (start, (start + end) // 2, end - 100):
            assert "a part of its data is lost" in refused(payload[:cut] + payload[end:])


def test_a_jpeg_with_data_left_over_is_refused() -> None:
    """As where a block was overwritten by one that fills more of the picture."""
    payload = encoded(picture())
    start, end = data_of(payload)

    for size in (100, 500, 4000):
        more = payload[start : start + size].replace(b"\xff", b"\xfe")
        assert "a part of its data is lost" in refused(payload[:end] + more + END)


@pytest.mark.parametrize("size_px", [80, 10], ids=["full", "draft"])
@pytest.mark.parametrize("padding", [b"\0", b"\1\2", bytes(700), b"\xff" * 99], ids=len)
def test_padding_is_no_loss(padding: bytes, size_px: int) -> None:
    """Encoders fill up with zeros or ones; some leave a byte or two."""
    payload = encoded(picture())

    found = Preprocess(size_px).decode(payload[:-2] + padding + END)

    np.testing.assert_array_equal(Preprocess(size_px).decode(payload), found)


@pytest.mark.parametrize("options", [*KINDS, *PROGRESSIVE])
@pytest.mark.parametrize(
    "behind",
    [
        b"\0" * 5000,
        b"text",
        END,
        b"\xff\xff\xff",
        encoded(picture(30, 30)),
        encoded(picture(30, 30), restart_marker_blocks=1),
        np.random.default_rng(1).bytes(9000) + END,
        b"\1" * 9000 + END,
    ],
    ids=["zeros", "text", "end", "fill", "JPEG", "restarts", "noise", "ones"],
)
def test_what_stands_behind_the_picture_does_not_matter(
    options: dict[str, int], behind: bytes
) -> None:
    """Films, gain maps, thumbnails, or what was on the disk before."""
    payload = encoded(picture(), **options)

    found = Preprocess(80).decode(payload + behind)

    np.testing.assert_array_equal(Preprocess(80).decode(payload), found)


@pytest.mark.parametrize("behind", [b"\0" * 5000, np.random.default_rng(1).bytes(9000)])
def test_what_stands_behind_the_picture_does_not_save_it(behind: bytes) -> None:
    """It is cut all the same."""
    payload = encoded(picture())

    refused(payload[: len(payload) // 2] + END + behind)


def test_the_first_of_several_pictures_is_whole() -> None:
    """As phones write them, with an index: the end marker of the second is none of the first."""
    buffer = io.BytesIO()
    picture().save(buffer, "MPO", save_all=True, append_images=[picture(40, 40)])
    payload = buffer.getvalue()
    first = payload.index(b"\xff\xd8", 2)
    half = payload[: first // 2] + END

    np.testing.assert_array_equal(
        Preprocess(80).decode(encoded(picture())), Preprocess(80).decode(payload)
    )
    refused(half + payload[first:])
