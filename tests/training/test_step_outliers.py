"""Diverse outlier sampling: against scikit-learn's k-means, and what it leaves behind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from tiny_training import SIDE, WITH_OUTLIERS, stopped_and_resumed, trained

from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.devices import start_fabric
from edge_ood.training.run_directory import RunConfig
from edge_ood.training.session import Session, start_session
from edge_ood.training.step_outliers import batch_at, diverse_rows
from edge_ood.training.training_set import Folders, read_training_set

DIVERSE = replace(WITH_OUTLIERS, outlier_sampling="diverse")


def candidates(count: int, width: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of several lengths and energies."""
    generator = np.random.default_rng(0)
    features = generator.normal(0, 1, (count, width)) * generator.uniform(0.1, 9, (count, 1))
    return torch.tensor(features, dtype=torch.float32), torch.tensor(generator.normal(0, 1, count))


@pytest.mark.parametrize("count", [1, 4, 10])
def test_each_cluster_of_scikit_learn_has_its_most_known_member(count: int) -> None:
    """Ten Lloyd iterations on directions, from the first candidates on; then the lowest energy."""
    features, energies = candidates(60)
    directions = features.double().numpy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    means = KMeans(count, init=directions[:count], n_init=1, max_iter=10, tol=0).fit(directions)

    rows = diverse_rows(features, energies, count)

    expected = set()
    for cluster in range(count):
        members = np.flatnonzero(means.labels_ == cluster)
        expected.add(int(members[np.argmin(energies.numpy()[members])]))
    assert count == len(rows)
    assert expected == set(rows.tolist())


def test_the_length_of_features_does_not_matter() -> None:
    """Clusters are of directions."""
    features, energies = candidates(60)

    rows = diverse_rows(features, energies, 10)

    assert torch.equal(rows, diverse_rows(features * 100, energies, 10))
    assert torch.equal(rows, diverse_rows(features * torch.rand(60, 1).add(0.1), energies, 10))


def test_empty_clusters_leave_their_place_to_the_most_known() -> None:
    """Of two kinds of candidates and four places, each kind has one and the rest is by energy."""
    kinds = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    features = kinds[[0, 1, 0, 1, 0, 0, 0, 0]]
    energies = torch.tensor([-3.0, 5.0, -2.0, 4.0, -1.0, 0.0, 1.0, 2.0])

    rows = diverse_rows(features, energies, 4)

    assert [0, 2, 3, 4] == sorted(rows.tolist())


def a_session(images: Path, scratch: Path, **settings: Any) -> Session:
    """A session of Outlier Exposure with diverse sampling."""
    chosen = replace(DIVERSE, **settings)
    parts = ("train", "outliers", "calibration", "validation")
    training_set = read_training_set(
        Folders(*(images / part for part in parts)), Preprocess(SIDE), 0, scratch
    )
    config = RunConfig(chosen, training_set.splits["training"].classes, Preprocess(SIDE))
    return start_session(start_fabric("cpu", chosen), config, training_set)


def test_a_step_has_as_many_outliers_as_without(tiny_images: Path, tmp_path: Path) -> None:
    """Six of 36 candidates, and images and labels as they are with random outliers."""
    session = a_session(tiny_images, tmp_path)
    drawn = session.batches.at(3)

    batch = batch_at(session, 3)

    assert drawn.outliers is not None
    assert batch.outliers is not None
    assert (36, 6) == (len(drawn.outliers), len(batch.outliers))
    assert all((drawn.outliers == image).flatten(1).all(1).any() for image in batch.outliers)
    assert torch.equal(drawn.images, batch.images)
    assert torch.equal(drawn.labels, batch.labels)


def test_candidates_take_turns(tiny_images: Path, tmp_path: Path) -> None:
    """Twelve outliers in batches of 36 candidates: each is a candidate three times."""
    session = a_session(tiny_images, tmp_path, augmentation=())

    outliers = session.batches.at(1).outliers

    assert outliers is not None
    _, counts = outliers.flatten(1).unique(dim=0, return_counts=True)
    assert [3] * 12 == counts.tolist()


def test_choosing_leaves_no_trace_in_the_network(tiny_images: Path, tmp_path: Path) -> None:
    """Neither statistics of batch normalisation nor gradients; the network is in training again."""
    session = a_session(tiny_images, tmp_path)
    session.classifier.train()
    before = {name: value.clone() for name, value in session.classifier.state_dict().items()}
    state = torch.get_rng_state()

    batch_at(session, 0)

    assert all(torch.equal(before[n], v) for n, v in session.classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in session.classifier.parameters())
    assert all(module.training for module in session.classifier.modules())
    assert torch.equal(state, torch.get_rng_state())


def test_the_choice_follows_the_weights(tiny_images: Path, tmp_path: Path) -> None:
    """The same step of the same weights has the same outliers, with other weights others."""
    session, again = (a_session(tiny_images, tmp_path) for _ in range(2))
    other = a_session(tiny_images, tmp_path)
    torch.manual_seed(1)
    for parameter in other.classifier.parameters():
        torch.nn.init.normal_(parameter)

    here, there, elsewhere = (batch_at(s, 2).outliers for s in (session, again, other))

    assert here is not None
    assert there is not None
    assert elsewhere is not None
    assert torch.equal(here, there)
    assert not torch.equal(here, elsewhere)


@pytest.mark.parametrize("objective", ["outlier-exposure", "energy-bounded"])
def test_an_interrupted_run_ends_with_the_same_weights(
    objective: str, tiny_images: Path, tmp_path: Path
) -> None:
    """Stopped and resumed, it ends with the same bits; random outliers end with others."""
    parts = ("train", "outliers", "calibration", "validation")
    folders = Folders(*(tiny_images / part for part in parts))
    parameters = {"m_in": -3.0, "m_out": -1.0} if objective == "energy-bounded" else {}
    settings = replace(DIVERSE, objective=Spec(objective, parameters))

    whole = trained(folders, settings, tmp_path / "whole")

    assert whole == stopped_and_resumed(folders, settings, tmp_path / "halves")
    random = replace(settings, outlier_sampling="random")
    assert whole != trained(folders, random, tmp_path / "random")
