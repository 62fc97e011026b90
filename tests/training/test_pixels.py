"""Decoded images in memory or in a file, and the statistics of their channels."""

from pathlib import Path

import numpy as np
import pytest

from edge_ood.images.preprocess import Preprocess
from edge_ood.training import pixels
from edge_ood.training.pixels import channel_statistics
from edge_ood.training.training_set import Folders, TrainingSet, read_training_set

SIDE = 8


def read(folders: Folders, scratch: Path) -> TrainingSet:
    return read_training_set(folders, Preprocess(SIDE), 0, scratch=scratch)


def test_short_memory_moves_the_pixels_to_a_file(
    tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays that do not fit half of the free memory are mapped, equal, and leave no file."""
    in_memory = read(Folders(tiny_images / "train"), tmp_path)
    monkeypatch.setattr(pixels, "free_memory", lambda: 0)

    mapped = read(Folders(tiny_images / "train"), tmp_path)

    assert isinstance(mapped.pixels["training"].array, np.memmap)
    np.testing.assert_array_equal(in_memory.pixels["training"][:], mapped.pixels["training"][:])
    assert [] == list(tmp_path.iterdir())


def test_channel_statistics_are_numpys() -> None:
    """Mean and deviation of each channel equal NumPy's over more images than one chunk."""
    images = np.random.default_rng(0).integers(0, 256, (1100, 3, 3, 3), np.uint8)

    mean, std = channel_statistics(images)

    half_a_digit = 0.5e-4  # they are rounded to four decimals
    flat = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(flat.mean(0), mean, rtol=0, atol=half_a_digit)
    np.testing.assert_allclose(flat.std(0), std, rtol=0, atol=half_a_digit)


def test_a_constant_channel_keeps_a_usable_deviation() -> None:
    """Black images do not lead to a division by zero."""
    _, std = channel_statistics(np.zeros((2, 4, 4, 3), np.uint8))

    assert (0.01, 0.01, 0.01) == std
