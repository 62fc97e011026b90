"""What a network said is remembered by pixels and convention."""

from dataclasses import replace
from typing import Any

import numpy as np

from edge_ood.foreign.conventions import Convention
from edge_ood.foreign.remembered import Remembered
from edge_ood.graph.intake import ImageInput
from edge_ood.images.preprocess import Preprocess

PLAIN = Convention(Preprocess(8), "rgb", ImageInput("x", 1, "nchw", 3, 8, None))


def test_only_pixels_and_ways_that_are_new_are_run() -> None:
    """Rows come in the order of the images, the same one twice included."""
    shown = []

    def network(pixels: np.ndarray, convention: Convention) -> np.ndarray:
        shown.append(len(pixels))
        sign = 1 if convention.channels == "rgb" else -1
        rows: np.ndarray = sign * pixels[:, 0, 0, :2].astype(np.float64)
        return rows

    images = np.arange(5 * 12, dtype=np.uint8).reshape(5, 2, 2, 3)
    plain: Any = network
    remembered = Remembered(plain)

    first = remembered(images[:2], PLAIN)
    again = remembered(images[[3, 1, 0, 3]], PLAIN)
    other = remembered(images[:1], replace(PLAIN, channels="bgr"))

    np.testing.assert_array_equal([[0, 1], [12, 13]], first)
    np.testing.assert_array_equal([[36, 37], [12, 13], [0, 1], [36, 37]], again)
    np.testing.assert_array_equal([[0, -1]], other)
    assert [2, 2, 1] == shown
