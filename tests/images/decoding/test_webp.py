"""A WebP's data reach the end of its picture, whatever its container says."""

import io

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess

KINDS = [{"quality": 75}, {"lossless": True}]
CONTAINER_BYTES, HEAD_BYTES = 12, 8


def encoded(options: dict[str, int]) -> bytes:
    """Noise as a file of one chunk."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", **options)
    return buffer.getvalue()


def with_data(payload: bytes, data: bytes) -> bytes:
    """The same file around other data, with all sizes as they should be."""
    kind = payload[CONTAINER_BYTES : CONTAINER_BYTES + 4]
    chunk = kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk


@pytest.mark.parametrize("options", KINDS)
def test_a_cut_webp_in_a_whole_container_is_refused(options: dict[str, int]) -> None:
    """Wherever it is cut, but for the last bytes."""
    payload = encoded(options)
    start = CONTAINER_BYTES + HEAD_BYTES
    data = payload[start : start + int.from_bytes(payload[start - 4 : start], "little")]
    assert payload == with_data(payload, data)

    for kept in [*range(0, len(data) - 16, 97), len(data) - 16]:
        with pytest.raises(DataError, match="cannot decode 'x'") as caught:
            Preprocess(80).decode(with_data(payload, data[:kept]), "'x'")
        assert "unreadable" == caught.value.status
