"""Energy-bounded training: ID images below one energy, auxiliary outliers above another."""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from edge_ood.errors import InputError
from edge_ood.objectives import (
    Batch,
    Mean,
    Measured,
    Model,
    Needs,
    Objective,
    classification_loss,
    logits_by_head,
)
from edge_ood.registry import NonNegative
from edge_ood.scores import Outputs

_PUBLISHED = {"cifar10": (-23.0, -5.0), "cifar100": (-27.0, -5.0)}
"""(m_in, m_out) of the authors' run scripts; their text has the two grids of values swapped."""

_APART = 6.0
"""Distance that measured margins should have, in standard deviations of the energies within a set:
each is then three of them from the middle."""

_FURTHEST = 5.0
"""Nats that a margin is moved from its mean at most. Hinges are squared: where energies have a
deviation of 5 nats, as those of a good network, six of them mean gradients with which fine-tuning
diverges (a ResNet-20 of 8 % error at a rate of 0.001: by 10 nats within 20 steps; 7 swing, 5 do
not)."""


def energy_bounded(
    model: Model,
    batch: Batch,
    *,
    weight: NonNegative = 0.1,
    margins: Literal["measured", "cifar10", "cifar100"] = "measured",
    m_in: float | None = None,
    m_out: float | None = None,
) -> Iterator[Tensor]:
    """One loss: cross-entropy plus `weight` times two squared hinges on the energy.

    `mean_in max(0, E - m_in)^2 + mean_out max(0, m_out - E)^2`, where `E = -logsumexp_k z_k` is
    lower, more negative, for ID images. Each mean is over its own batch, and both batches share
    one forward pass, so batch normalisation sees them together. With two heads it is the mean of
    the heads' own losses.

    Args:
        model: Maps the joined batch to logits.
        batch: Uses images (N, 3, S, S), labels (N,) and outliers (M, 3, S, S).
        weight: Of the hinges, dimensionless, >= 0.
        margins: `measured` sets both to the mean energies that the start weights give training
            images and outliers, and moves them apart to six standard deviations of the energies
            within either set where they are closer, but either by 5 nats at most; one that is not
            given moves alone, by 10. The others are the paper's pairs.
        m_in: Energy below which ID images cost nothing, less than `m_out`; replaces that margin.
        m_out: Energy above which outliers cost nothing; replaces that margin.

    Yields:
        A scalar in nats (the hinges: nats squared), >= 0.

    Raises:
        InputError: If `m_in` is not less than `m_out`.

    Source: Liu et al. 2020, arXiv:2010.03759, eq. 7-9; measured margins are of this project.
    """
    assert batch.outliers is not None
    id_bound, outlier_bound = _margins(margins, m_in, m_out)
    assert id_bound is not None  # what was not given was measured before the first step
    assert outlier_bound is not None
    joined = logits_by_head(model(torch.cat([batch.images, batch.outliers])))
    energy = -joined.logsumexp(-1)
    id_energy, outlier_energy = energy[: len(batch.images)], energy[len(batch.images) :]
    hinges = (id_energy - id_bound).relu().square().mean()
    hinges = hinges + (outlier_bound - outlier_energy).relu().square().mean()
    yield classification_loss(joined[: len(batch.images)], batch) + weight * hinges


def _needs(*, weight: float, margins: str, m_in: float | None, m_out: float | None) -> Needs:
    are_given = None not in _margins(margins, m_in, m_out)
    return Needs(outliers=True, trained="" if are_given else "energy-bounded:m_in=-23,m_out=-5")


def _measure(
    mean: Mean, *, weight: float, margins: str, m_in: float | None, m_out: float | None
) -> Measured:
    (training, of_training), (outliers, of_outliers) = (
        _mean_and_deviation(mean, split) for split in ("training", "outliers")
    )
    within = math.hypot(of_training, of_outliers) / math.sqrt(2)
    given = _margins(margins, m_in, m_out)
    found = _apart((training, outliers), given, least=_APART * within)
    low, high = _margins(margins, m_in, m_out, measured=found)
    assert low is not None
    assert high is not None
    wanted = [m if g is None else g for m, g in zip((training, outliers), given, strict=True)]
    deviations = f", {(high - low) / within:.1f} of them apart" if within else ""
    moved = f", moved{deviations}" if [low, high] != wanted else ""
    return Measured(
        {"m_in": low, "m_out": high},
        f"mean energies before training: {training:.2f} for training images, {outliers:.2f} for"
        f" outliers, standard deviation {within:.2f}; margins: m_in {low:.2f}, m_out {high:.2f}"
        + moved,
    )


def _apart(
    means: tuple[float, float], given: tuple[float | None, float | None], *, least: float
) -> tuple[float, float]:
    """The two means, moved as far apart as they must be, from what was given where one was."""
    (low, high), (given_low, given_high) = means, given
    if given_low is not None:
        return given_low, max(high, min(given_low + least, max(high, given_low) + 2 * _FURTHEST))
    if given_high is not None:
        return min(low, max(given_high - least, min(low, given_high) - 2 * _FURTHEST)), given_high
    middle, gap = (low + high) / 2, high - low
    half = max(gap / 2, min(least / 2, max(gap, 0.0) / 2 + _FURTHEST))
    return middle - half, middle + half


def _mean_and_deviation(mean: Mean, split: str) -> tuple[float, float]:
    """Of the energies of a split."""
    middle = mean(split, _mean_energy)
    return middle, math.sqrt(mean(split, lambda outputs: (_mean_energy(outputs) - middle).square()))


def _mean_energy(outputs: Outputs) -> Tensor:
    """Energies (N,), the mean over the heads."""
    return -logits_by_head(outputs).logsumexp(-1).mean(-1)


def _margins(
    margins: str,
    m_in: float | None,
    m_out: float | None,
    measured: tuple[float | None, float | None] = (None, None),
) -> tuple[float | None, float | None]:
    """Both margins: as given, else the paper's, else measured; None before they are measured."""
    low, high = _PUBLISHED.get(margins, measured)
    low = low if m_in is None else m_in
    high = high if m_out is None else m_out
    if low is not None and high is not None and not low < high:
        raise InputError(
            f"margins m_in {low:.4g} and m_out {high:.4g}, expected m_in < m_out:"
            " ID images have the lower energy",
            hint="m_in near the mean energy of training images, m_out near that of outliers,"
            " as in energy-bounded:m_in=-23,m_out=-5",
        )
    return low, high


OBJECTIVE = Objective(
    "energy-bounded",
    energy_bounded,
    needs=_needs,
    measure=_measure,
    energy_bounds=("m_in", "m_out"),
    source="Liu et al. 2020, eq. 7-9",
)
