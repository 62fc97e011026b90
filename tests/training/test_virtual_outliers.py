"""Outliers made of training images: which pixels change places, and what that leaves behind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import SIDE, WITH_OUTLIERS, stopped_and_resumed, trained
from torch import Tensor, nn

from edge_ood.images.preprocess import Preprocess
from edge_ood.objectives import Batch
from edge_ood.scores import Outputs
from edge_ood.training.devices import start_fabric
from edge_ood.training.run_directory import RunConfig, read_run
from edge_ood.training.session import Session, start_session
from edge_ood.training.step_outliers import batch_at
from edge_ood.training.training_set import Folders, read_training_set
from edge_ood.training.virtual_outliers import shuffled, virtual_outliers

SHARE = 0.25
MADE = replace(WITH_OUTLIERS, outlier_source="self", shuffled_share=SHARE)


class LinearNetwork(nn.Module):
    """Logits that are products of pixels and weights (K, 3, S, S), so the gradient is known."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float32))

    def forward(self, images: Tensor) -> Outputs:
        """Logits alone."""
        return Outputs(torch.einsum("nchw,kchw->nk", images, self.weights))


def a_session(images: Path, scratch: Path) -> Session:
    """A session of Outlier Exposure without a folder of outliers."""
    folders = Folders(images / "train", None, images / "calibration", images / "validation")
    training_set = read_training_set(folders, Preprocess(SIDE), 0, scratch)
    config = RunConfig(MADE, training_set.splits["training"].classes, Preprocess(SIDE))
    return start_session(start_fabric("cpu", MADE), config, training_set)


def multiset(pixels: np.ndarray) -> list[tuple[float, ...]]:
    """Pixels (any, 3) without their places."""
    return sorted(map(tuple, pixels.tolist()))


@pytest.mark.parametrize(("share", "count"), [(0.15, 5), (1.0, 36), (0.01, 2)])
def test_the_most_relevant_pixels_change_places(share: float, count: int) -> None:
    """Of 36 pixels int(share 36), at least two, all move, and no colour is lost; others stay."""
    generator = np.random.default_rng(0)
    images, relevance = generator.normal(0, 1, (4, 3, 6, 6)), generator.normal(0, 1, (4, 6, 6))
    torch.manual_seed(0)

    made = shuffled(torch.tensor(images), torch.tensor(relevance), share).numpy()

    for image, outlier, values in zip(images, made, relevance, strict=True):
        before, after = image.reshape(3, 36).T, outlier.reshape(3, 36).T
        top = np.argsort(values.ravel())[36 - count :]
        rest = np.setdiff1d(np.arange(36), top)
        np.testing.assert_array_equal(before[rest], after[rest])
        assert multiset(before[top]) == multiset(after[top])
        assert (before[top] != after[top]).all()


def test_every_image_is_shuffled_in_its_own_way() -> None:
    """Of equal images with all pixels shuffled, no two come out equal."""
    images = torch.arange(3 * 36.0).reshape(1, 3, 6, 6).repeat(5, 1, 1, 1)

    made = shuffled(images, torch.zeros(5, 6, 6), 1.0)

    assert 5 == len(made.flatten(1).unique(dim=0))


def test_what_counts_is_the_gradient_of_the_true_class(tiny_images: Path, tmp_path: Path) -> None:
    """With a linear network a pixel counts as the sum of exp(w_y) over its channels."""
    weights = np.random.default_rng(0).normal(0, 1, (2, 3, SIDE, SIDE))
    network: Any = LinearNetwork(weights)
    session = replace(a_session(tiny_images, tmp_path), classifier=network)
    images = torch.randn(6, 3, SIDE, SIDE)
    labels = torch.tensor([0, 1, 1, 0, 0, 1])

    made = virtual_outliers(session, Batch(images, labels))

    changed = (made != images).any(1).numpy()
    for label, places in zip(labels.tolist(), changed, strict=True):
        values = np.exp(weights[label]).sum(0).ravel()
        top = np.argsort(values)[-int(SHARE * SIDE**2) :]
        assert sorted(top.tolist()) == np.flatnonzero(places).tolist()


def test_a_step_has_an_outlier_for_each_image(tiny_images: Path, tmp_path: Path) -> None:
    """Images and labels are those of the step; outliers are as many, in the same memory layout."""
    session = a_session(tiny_images, tmp_path)
    drawn = session.batches.at(2)

    batch = batch_at(session, 2)

    assert drawn.outliers is None
    assert batch.outliers is not None
    assert torch.equal(drawn.images, batch.images)
    assert batch.images.shape == batch.outliers.shape
    assert not batch.outliers.requires_grad
    assert batch.outliers.is_contiguous(memory_format=torch.channels_last)


def test_making_them_leaves_no_trace_in_the_network(tiny_images: Path, tmp_path: Path) -> None:
    """Neither statistics of batch normalisation nor gradients; the network is in training again."""
    session = a_session(tiny_images, tmp_path)
    session.classifier.train()
    before = {name: value.clone() for name, value in session.classifier.state_dict().items()}

    batch_at(session, 0)

    assert all(torch.equal(before[n], v) for n, v in session.classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in session.classifier.parameters())
    assert all(module.training for module in session.classifier.modules())


def test_an_interrupted_run_ends_with_the_same_weights(tiny_images: Path, tmp_path: Path) -> None:
    """Stopped and resumed, it ends with the same bits; no file is on record as an outlier."""
    parts = ("train", "calibration", "validation")
    training, calibration, validation = (tiny_images / part for part in parts)
    folders = Folders(training, None, calibration, validation)

    whole = trained(folders, MADE, tmp_path / "whole")

    assert whole == stopped_and_resumed(folders, MADE, tmp_path / "halves")
    assert 0 == len(read_run(tmp_path / "whole").splits["outliers"])
