"""Energy-bounded training by hand, against pytorch-ood, and where its margins come from."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_ood.loss import EnergyRegularizedLoss
from scipy.special import logsumexp

from edge_ood.errors import InputError
from edge_ood.models import build_classifier
from edge_ood.objectives import OBJECTIVES, Batch, bind_objective, needs_of
from edge_ood.scores import Outputs

EXACT = 1e-5  # float32 against float64, relative
KNOWN, OUTLIERS, CLASSES = 2, 5, 4

OBJECTIVE = OBJECTIVES.get("energy-bounded")


def loss_of(logits: Any, pair: Any = None, **parameters: Any) -> float:
    """The single loss of a network with fixed logits: two ID images, then outliers."""
    rows = torch.tensor(np.asarray(logits), dtype=torch.float32)
    outputs = Outputs(rows, None if pair is None else torch.tensor(pair, dtype=torch.float32))
    outliers = torch.zeros(len(rows) - KNOWN, 3, 1, 1)
    batch = Batch(torch.zeros(KNOWN, 3, 1, 1), torch.tensor([1, 0]), outliers)
    (loss,) = OBJECTIVE.losses(lambda _: outputs, batch, **parameters)
    return float(loss)


def measured(
    known: float,
    outliers: float,
    objective: str = "energy-bounded",
    deviations: tuple[float, float] = (1.0, 1.0),
) -> Any:
    """What the objective makes of energies with these means and standard deviations."""
    outputs = {}
    for split, middle, deviation in zip(
        ("training", "outliers"), (known, outliers), deviations, strict=True
    ):
        energies = torch.tensor([middle - deviation, middle + deviation], dtype=torch.float64)
        equal = (-energies - math.log(CLASSES)).unsqueeze(1)
        outputs[split] = Outputs(equal.expand(2, CLASSES))
    parameters = bind_objective(objective).parameters
    return OBJECTIVE.measure(
        lambda split, function: float(function(outputs[split]).mean()), **parameters
    )


def test_the_hinges_by_hand() -> None:
    """Energies -ln 2 and -8 - ln 2 around m_in = -6, and outliers 3 and 1 below m_out."""
    logits = np.array([[0, 0], [8, 8], [5, 5], [3, 3]]) * 1.0
    margins = {"m_in": -6 - math.log(2), "m_out": -2 - math.log(2)}

    loss = loss_of(logits, weight=0.5, **margins)

    known, outliers = (6**2 + 0) / 2, (3**2 + 1**2) / 2
    assert math.log(2) + 0.5 * (known + outliers) == pytest.approx(loss, rel=EXACT)


def test_energies_beyond_their_margins_cost_nothing() -> None:
    """An ID image below m_in and an outlier above m_out leave the cross-entropy alone."""
    logits = np.array([[0, 20], [20, 0], [0, 0]]) * 1.0

    assert loss_of(logits, m_in=-10.0, m_out=-2.0) < 1e-6


def test_the_published_weight_is_the_default() -> None:
    """Without a weight, the hinges count a tenth."""
    logits = np.zeros((3, 2))
    margins = {"m_in": -2 - math.log(2), "m_out": -math.log(2) - 1}

    assert math.log(2) + 0.1 * 4 == pytest.approx(loss_of(logits, **margins), rel=EXACT)


def test_means_over_own_batches_against_pytorch_ood() -> None:
    """pytorch-ood averages over the joint batch; scaled back per batch, the terms are the same."""
    logits = np.random.default_rng(0).normal(0, 4, (KNOWN + OUTLIERS, CLASSES))
    rows, labels = torch.tensor(logits), torch.tensor([1, 0] + [-1] * OUTLIERS)
    joint = KNOWN + OUTLIERS

    def reference(chosen: slice) -> float:
        loss = EnergyRegularizedLoss(alpha=0.1, margin_in=-7, margin_out=-4)
        return float(loss(rows[chosen], labels[chosen]))

    found = loss_of(logits, m_in=-7.0, m_out=-4.0)

    own = reference(slice(0, KNOWN)) + reference(slice(KNOWN, joint))
    assert own == pytest.approx(found, rel=EXACT)


def test_two_heads_have_the_mean_of_their_own_losses() -> None:
    """With different logits per head, the loss is the mean of both heads' losses."""
    first = np.random.default_rng(0).normal(0, 4, (KNOWN + OUTLIERS, CLASSES))
    margins = {"m_in": -7.0, "m_out": -4.0}

    both = loss_of(np.zeros_like(first), np.stack([first, -first], axis=1), **margins)

    each = [loss_of(logits, **margins) for logits in (first, -first)]
    assert np.mean(each) == pytest.approx(both, rel=EXACT)


@pytest.mark.parametrize(("name", "m_in", "m_out"), [("cifar10", -23, -5), ("cifar100", -27, -5)])
def test_presets_are_the_published_margins(name: str, m_in: float, m_out: float) -> None:
    """The authors' values by name cost what they cost as numbers."""
    logits = np.random.default_rng(0).normal(0, 4, (KNOWN + OUTLIERS, CLASSES))

    assert loss_of(logits, m_in=m_in, m_out=m_out) == loss_of(logits, margins=name)


def test_margins_are_the_mean_energies_of_the_start() -> None:
    """Margins of a start that tells the sets apart are the means, and the note shows them."""
    found = measured(-11.5, -4.25)

    assert {"m_in": -11.5, "m_out": -4.25} == pytest.approx(found.parameters)
    assert "-11.50 for training images, -4.25 for outliers, standard deviation 1.00" in found.note
    assert "apart" not in found.note


@pytest.mark.parametrize(
    ("means", "deviations", "margins"),
    [
        ((-3.88, -3.52), (0.95, 0.95), (-6.55, -0.85)),  # a network that is right half of the time
        ((-4.0, -3.0), (1.5, 0.5), (-3.5 - 1.5 * math.sqrt(5), -3.5 + 1.5 * math.sqrt(5))),
        ((-4.0, -3.0), (3.0, 1.0), (-9.0, 2.0)),  # 13 nats apart otherwise
        ((-4.25, -11.5), (1.0, 1.0), (-10.875, -4.875)),  # outliers look more known than ID images
        ((-19.91, -9.14), (5.05, 5.05), (-24.91, -4.14)),  # a good one: 5 nats each, not 9.8
        ((-9.0, -15.0), (5.0, 5.0), (-17.0, -7.0)),  # from their middle, if they are crossed
        ((-8.0, -5.0), (0.5, 0.5), (-8.0, -5.0)),
    ],
)
def test_margins_of_a_weak_start_are_moved_apart(
    means: tuple[float, float], deviations: tuple[float, float], margins: tuple[float, float]
) -> None:
    """Nearer than six deviations within the sets, both move by as much, and 5 nats at most."""
    found = measured(*means, deviations=deviations)

    low, high = found.parameters["m_in"], found.parameters["m_out"]
    assert margins == pytest.approx((low, high))
    assert (margins != means) == ("of them apart" in found.note)


@pytest.mark.parametrize(
    ("objective", "margins"),
    [
        ("energy-bounded:m_in=-5", (-5, 1)),
        ("energy-bounded:m_out=-3", (-9, -3)),
        ("energy-bounded:m_in=-5,m_out=-4", (-5, -4)),
        ("energy-bounded:margins=cifar10", (-23, -5)),
    ],
)
def test_only_the_margin_that_was_not_given_moves(
    objective: str, margins: tuple[float, float]
) -> None:
    """It keeps six deviations from the given one; what a user says twice is not moved at all."""
    found = measured(-3.88, -3.52, objective)

    assert margins == pytest.approx((found.parameters["m_in"], found.parameters["m_out"]))


@pytest.mark.parametrize(
    ("objective", "margins"),
    [("energy-bounded:m_in=-23", (-23, 0.86)), ("energy-bounded:m_out=-5", (-29.91, -5))],
)
def test_a_margin_that_moves_alone_moves_ten_nats_at_most(
    objective: str, margins: tuple[float, float]
) -> None:
    """Six deviations of a good network's energies would be 30 nats."""
    found = measured(-19.91, -9.14, objective, deviations=(5.05, 5.05))

    assert margins == pytest.approx((found.parameters["m_in"], found.parameters["m_out"]))


@pytest.mark.parametrize(
    ("objective", "margins"),
    [
        ("energy-bounded:m_in=-23", (-23, -4.25)),
        ("energy-bounded:m_out=-5", (-11.5, -5)),
        ("energy-bounded:margins=cifar10", (-23, -5)),
        ("energy-bounded:margins=cifar100,m_out=-6", (-27, -6)),
    ],
)
def test_given_margins_win(objective: str, margins: tuple[float, float]) -> None:
    """A number replaces a preset, and a preset what was measured."""
    found = measured(-11.5, -4.25, objective)

    assert margins == pytest.approx((found.parameters["m_in"], found.parameters["m_out"]))


@pytest.mark.parametrize(
    ("objective", "trained"),
    [
        ("energy-bounded", True),
        ("energy-bounded:m_in=-23", True),
        ("energy-bounded:margins=cifar10", False),
        ("energy-bounded:m_in=-23,m_out=-5", False),
    ],
)
def test_only_measured_margins_need_trained_weights(objective: str, trained: bool) -> None:
    """Random weights have no energies to go by."""
    assert trained == bool(needs_of(objective).trained)


def crossed_by_hand() -> None:
    needs_of("energy-bounded:m_in=-5,m_out=-23")


def crossed_preset() -> None:
    needs_of("energy-bounded:margins=cifar10,m_out=-23")


def energies_without_spread() -> None:
    measured(-4.25, -11.5, deviations=(0.0, 0.0))


@pytest.mark.parametrize("cross", [crossed_by_hand, crossed_preset, energies_without_spread])
def test_crossed_margins_are_refused(cross: Callable[[], None]) -> None:
    """Given, from a preset or measured on a constant: m_in must be less, and both are shown."""
    with pytest.raises(InputError, match=r"m_in -[\d.]+ and m_out -[\d.]+, expected m_in < m_out"):
        cross()


def test_the_measured_energy_is_the_formula() -> None:
    """What is averaged is minus log-sum-exp, over the heads where there are two."""
    logits = np.random.default_rng(0).normal(0, 3, (6, 2, CLASSES))
    outputs = Outputs(torch.zeros(6, CLASSES), torch.tensor(logits))
    heard = []

    def mean(split: str, function: Callable[[Outputs], torch.Tensor]) -> float:
        heard.append(function(outputs).numpy())
        return float(heard[-1].mean())

    OBJECTIVE.measure(mean, **bind_objective("energy-bounded").parameters)

    energies = -logsumexp(logits, 2).mean(1)
    np.testing.assert_allclose(energies, heard[0], rtol=EXACT)
    np.testing.assert_allclose((energies - energies.mean()) ** 2, heard[1], rtol=EXACT)


def test_batch_normalisation_sees_the_joined_batch() -> None:
    """The running mean of the first layer is that of ID images and outliers together."""
    torch.manual_seed(0)
    classifier = build_classifier("wrn-10-1", CLASSES)
    images, outliers = torch.randn(4, 3, 8, 8), torch.randn(6, 3, 8, 8) + 2
    stem = classifier.trunk.get_submodule("stem")
    joined = stem(torch.cat([images, outliers])).mean((0, 2, 3)).detach()

    list(OBJECTIVE.losses(classifier, Batch(images, torch.arange(4), outliers), margins="cifar10"))

    momentum = 0.1  # torch's default: the running mean starts at 0
    found = classifier.get_buffer("trunk.stages.0.norm1.running_mean") / momentum
    torch.testing.assert_close(joined, found, rtol=1e-4, atol=1e-5)
