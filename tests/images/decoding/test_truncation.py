"""Truncated images fail even where the process has told Pillow to fill them up."""

import io
import threading

import numpy as np
import pytest
from PIL import Image, ImageFile

from edge_ood.errors import DataError
from edge_ood.images.decoding.truncation import refusing_truncated
from edge_ood.images.preprocess import Preprocess

LOSSY = {"JPEG": {}, "progressive": {"progressive": True}, "restarts": {"restart_marker_rows": 1}}
FORMATS = ("JPEG", "progressive", "restarts", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP")


def encoded(kind: str) -> bytes:
    """Noise as a file."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG" if kind in LOSSY else kind, **LOSSY.get(kind, {}))
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("filled_up", [False, True], ids=["", "filled up"])
def test_a_cut_file_is_refused_or_whole(
    kind: str, filled_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is cut, no pixel differs from the whole file's; mostly it is an error."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", filled_up)
    payload = encoded(kind)
    whole = Preprocess(40).decode(payload)
    refused = 0

    for length in range(0, len(payload), 1 + len(payload) // 60):
        try:
            pixels = Preprocess(40).decode(payload[:length])
        except DataError:
            refused += 1
        else:
            np.testing.assert_array_equal(whole, pixels)

    assert refused > 50
    assert filled_up == ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_jpeg_that_ends_in_zeros_is_refused() -> None:
    """A file of the right length whose end was never written is no picture."""
    payload = encoded("JPEG")

    for cut in range(2, len(payload) // 2, 50):
        with pytest.raises(DataError, match="cannot decode 'x': ") as caught:
            Preprocess(40).decode(payload[:-cut] + bytes(cut), "'x'")
        assert "unreadable" == caught.value.status


def test_the_setting_returns_with_the_last_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block in another thread that ends first does not switch it back on."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with refusing_truncated():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    with refusing_truncated():
        leave.set()
        thread.join()
        assert not ImageFile.LOAD_TRUNCATED_IMAGES
    assert ImageFile.LOAD_TRUNCATED_IMAGES
