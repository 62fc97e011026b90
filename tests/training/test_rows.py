"""Rows of a larger tensor, against tensors of these rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training import rows
from edge_ood.training.batches import Batches
from edge_ood.training.pixels import Pixels, channel_statistics
from edge_ood.training.rows import Rows
from edge_ood.training.settings import Settings

SIDE = 8
ALL = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE, 3), np.uint8)
CHOSEN = np.array([3, 19, 0, 7, 7, 11, 4])


def test_batches_of_rows_are_batches_of_their_images() -> None:
    """Which rows of an array a split has, and in which order, is all that counts."""
    images = torch.from_numpy(ALL[CHOSEN])
    copied = Batches(
        images=images,
        labels=torch.arange(7),
        outliers=images.flip(0),
        settings=Settings(
            Spec("wrn-10-1"), Spec("cross-entropy"), batch_size=4, outlier_batch_size=3
        ),
        preprocess=Preprocess(SIDE),
        device=torch.device("cpu"),
    )
    chosen = torch.from_numpy(CHOSEN)
    rows_of = replace(
        copied,
        images=Rows(torch.from_numpy(ALL), chosen),
        outliers=Rows(torch.from_numpy(ALL), chosen.flip(0)),
    )

    for step in range(5):
        expected, found = copied.at(step), rows_of.at(step)
        assert torch.equal(expected.images, found.images)
        assert expected.outliers is not None
        assert found.outliers is not None
        assert torch.equal(expected.outliers, found.outliers)


def test_slices_and_copies_have_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices stay rows; copies are made in parts, which need not divide them."""
    monkeypatch.setattr(rows, "_IMAGES_PER_PART", 3)
    images = Rows(torch.from_numpy(ALL), torch.from_numpy(CHOSEN))

    assert isinstance(images[::2], Rows)
    for part in (slice(None), slice(1, 5), slice(None, None, 2), slice(0, 0)):
        expected = torch.from_numpy(ALL[CHOSEN][part])
        assert len(expected) == len(images[part])
        assert torch.equal(expected, images[part].to(torch.device("cpu")))


def test_rows_of_a_mapped_file_never_reach_it(tmp_path: Path) -> None:
    """Torch takes an array that is mapped for this process alone, and warns of nothing."""
    np.save(tmp_path / "all.npy", ALL)
    array = np.load(tmp_path / "all.npy", mmap_mode="c")

    images = Rows(torch.from_numpy(array), torch.from_numpy(CHOSEN)).to(torch.device("cpu"))
    images.zero_()

    np.testing.assert_array_equal(ALL, np.load(tmp_path / "all.npy"))


def test_statistics_are_those_of_the_chosen_part() -> None:
    """Mean and deviation of the rows and of what the network sees, not of the whole array."""
    mean, std = channel_statistics(Pixels(ALL, CHOSEN), slice(2, 5))

    flat = ALL[CHOSEN][:, 2:5, 2:5].reshape(-1, 3) / 255
    np.testing.assert_allclose(flat.mean(0), mean, rtol=0, atol=0.5e-4)
    np.testing.assert_allclose(flat.std(0), std, rtol=0, atol=0.5e-4)
