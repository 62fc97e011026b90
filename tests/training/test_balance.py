"""Balanced sampling against counts."""

from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.balance import BalancedOrder
from edge_ood.training.batches import Batches, Share
from edge_ood.training.settings import Settings

WHOLE = Share()
LABELS = np.repeat([0, 1, 2], [20, 3, 1])[np.random.default_rng(0).permutation(24)]


def order(seed: int = 0) -> BalancedOrder:
    return BalancedOrder(LABELS, (seed, 7))


@pytest.mark.parametrize("labels", [LABELS, np.repeat([0, 1, 2, 3], [1, 5, 2, 3])])
def test_classes_are_drawn_equally_often(labels: NDArray[np.int64]) -> None:
    """In every epoch, and over all of them, up to one where it does not divide."""
    balanced = BalancedOrder(labels, (0,))
    total: Counter[int] = Counter()

    for epoch in range(7):
        counts = np.bincount(labels[balanced.rows(epoch)], minlength=labels.max() + 1)
        total.update(dict(enumerate(counts.tolist())))
        assert len(labels) == counts.sum()
        assert counts.max() - counts.min() <= 1

    assert max(total.values()) - min(total.values()) <= 1


def test_images_of_a_class_are_drawn_equally_often() -> None:
    """Over 5 epochs of 8 images of each class, 40: twice each of the 20 of the largest."""
    seen = Counter(row for epoch in range(5) for row in order().rows(epoch).tolist())

    for label, expected in ((0, {2}), (1, {13, 14}), (2, {40})):
        assert expected == {seen[row] for row in np.flatnonzero(label == LABELS).tolist()}


def test_an_epoch_is_a_function_of_its_number_and_the_seed() -> None:
    """A run that goes on draws what it would have drawn."""
    here, there = order(), order()
    expected = [here.rows(epoch).tolist() for epoch in range(4)]

    assert expected[3] == there.rows(3).tolist()
    assert expected[1] == there.rows(1).tolist()
    assert expected[0] != expected[1]
    assert expected[0] != order(seed=1).rows(0).tolist()


def batches(share: Share = WHOLE, **options: object) -> Batches:
    """One pixel an image, which says its row."""
    pixels = np.tile(np.arange(24, dtype=np.uint8)[:, None, None, None], (1, 8, 8, 3))
    return Batches(
        images=torch.from_numpy(pixels),
        labels=torch.from_numpy(LABELS),
        outliers=torch.zeros(0, 8, 8, 3, dtype=torch.uint8),
        settings=Settings(
            Spec("wrn-10-1"), Spec("cross-entropy"), augmentation=(), batch_size=8, **options
        ),
        preprocess=Preprocess(8, mean=(0, 0, 0), std=(1, 1, 1)),
        device=torch.device("cpu"),
        share=share,
    )


def test_batches_are_balanced_and_shuffled() -> None:
    """Three batches are an epoch: 8 images of each class, in no order; labels stay with images."""
    found = [batches(balance="sampling").at(step) for step in range(3)]

    labels = torch.cat([batch.labels for batch in found])
    rows = torch.cat([(255 * batch.images[:, 0, 0, 0]).round().long() for batch in found])
    assert [8, 8, 8] == labels.bincount().tolist()
    assert LABELS[rows.numpy()].tolist() == labels.tolist()
    assert any(labels[i] == labels[i + 1] for i in range(23))


def test_processes_share_a_balanced_batch() -> None:
    """Two halves are the whole."""
    whole = batches(balance="sampling").at(4)
    halves = [batches(Share(rank, 2), balance="sampling").at(4) for rank in (0, 1)]

    assert torch.equal(whole.images, torch.cat([half.images for half in halves]))


def test_without_balance_each_image_is_seen_once() -> None:
    """A loss that is balanced leaves the order alone."""
    for balance in ("none", "loss"):
        seen = torch.cat([batches(balance=balance).at(step).images for step in range(3)])
        assert list(range(24)) == sorted((255 * seen[:, 0, 0, 0]).round().int().tolist())
