"""The outliers of a step: random ones, the diverse ones of many candidates, or made of its images.

Diverse outlier sampling (DOS) clusters candidates, and takes of each cluster the one that looks
most like an ID image.

Source: Jiang et al. 2024, arXiv:2306.02031, section 3, with the energy in place of the probability
of an absent class, which no classifier here has; k-means is ten of Lloyd's iterations from the
candidates that were drawn first, and takes as many clusters as there will be outliers.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from edge_ood.objectives import Batch
from edge_ood.scores import PENULTIMATE, Outputs
from edge_ood.training.batches import CANDIDATES
from edge_ood.training.session import Session
from edge_ood.training.settings import DIVERSE, SELF
from edge_ood.training.virtual_outliers import virtual_outliers

__all__ = ["batch_at", "diverse_rows"]

_ITERATIONS = 10


def batch_at(session: Session, step: int) -> Batch:
    """This process' share of a batch, its outliers found as the settings have it.

    It is a function of seed, step and the present weights; torch's generator has the step's seed.
    """
    batch, settings = session.batches.at(step), session.batches.settings
    if settings.outlier_source == SELF:
        return replace(batch, outliers=virtual_outliers(session, batch))
    if settings.outlier_sampling != DIVERSE or batch.outliers is None:
        return batch
    outputs = _looked_at(session, batch.outliers)
    rows = diverse_rows(
        outputs.features[PENULTIMATE],
        -outputs.logits.float().logsumexp(1),
        len(batch.outliers) // CANDIDATES,
    )
    return replace(batch, outliers=batch.outliers[rows])


def diverse_rows(features: Tensor, energies: Tensor, count: int) -> Tensor:
    """Of each cluster of candidates, the one with the lowest energy, which looks most like ID.

    A cluster that has lost all its members leaves its place to the lowest energy that is left.

    Args:
        features: (C, D), in random order; clustered by their directions.
        energies: (C,).
        count: M <= C, clusters.

    Returns:
        int64 (M,), rows of the candidates, each at most once, in the order of their energies within
        each group: those that stand for a cluster, then those that fill up.
    """
    clusters = _clusters(functional.normalize(features.float(), dim=1), count)
    by_energy = energies.argsort(stable=True)
    places = torch.arange(len(energies), device=energies.device)
    first = torch.full_like(places[:count], len(places))
    first.scatter_reduce_(0, clusters[by_energy], places, "amin")
    stands_for_one = torch.zeros(len(places) + 1, dtype=torch.bool, device=places.device)
    stands_for_one[first] = True  # the last place is that of the clusters without a member
    chosen = (places + len(places) * ~stands_for_one[:-1]).argsort()[:count]
    return by_energy[chosen]


@torch.no_grad()
def _looked_at(session: Session, images: Tensor) -> Outputs:
    """What the network makes of images, in evaluation mode: it leaves no trace in the network."""
    with session.evaluating(averaged=False) as classifier, session.fabric.autocast():
        outputs: Outputs = classifier(images)
    return outputs


def _clusters(points: Tensor, count: int) -> Tensor:
    """The cluster (C,) of each point (C, D); sums are matrix products, the same on every run."""
    centres = points[:count]
    for _ in range(_ITERATIONS):
        members = functional.one_hot(_nearest(points, centres), count).to(points.dtype)
        sizes = members.sum(0).unsqueeze(1)
        means = members.T @ points / sizes.clamp(min=1)
        centres = torch.where(sizes > 0, means, centres)
    return _nearest(points, centres)


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    return (centres.square().sum(1) - 2 * points @ centres.T).argmin(1)
