"""What every registered head costs: figures by arithmetic, or a reason why there are none."""

import math

import pytest

from edge_ood.runtime import registered_costs as module
from edge_ood.runtime.registered_costs import BATCH_SIZES, HeadCost, registered_costs
from edge_ood.scores import HEADS, bind_head
from edge_ood.scores._example import ExampleLayer

CLASSES, WIDTH = 10, 192
DECISION = 4 * 3 * 1023
"""Bytes of 1,023 knots and p-values, and of a vector that counts them."""

FRAME = 6000
"""Bytes of nodes and names around a head's arrays."""


@pytest.fixture(scope="module")
def costs() -> dict[str, HeadCost]:
    """By head, of one layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SECONDS", 0.0)
        return {cost.head: cost for cost in registered_costs(ExampleLayer(CLASSES, WIDTH))}


def test_every_head_is_there(costs: dict[str, HeadCost]) -> None:
    """In the order of the registry."""
    assert HEADS.names() == list(costs)


@pytest.mark.parametrize("name", HEADS.names())
def test_a_head_has_all_figures_or_a_reason(costs: dict[str, HeadCost], name: str) -> None:
    """One that moves the image costs what its network costs; all others are measured."""
    cost = costs[name]

    if bind_head(name).epsilon:
        expected = "a gradient through the network and 1 more pass of it"
        assert HeadCost(name, unmeasured=expected) == cost
        return
    assert "" == cost.unmeasured
    assert DECISION < cost.size_bytes
    assert BATCH_SIZES == tuple(cost.added_us)
    assert all(math.isfinite(figure) and figure >= 0 for figure in cost.added_us.values())


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("energy", 0),
        ("msp", 0),
        ("mahalanobis", 4 * WIDTH * (WIDTH + 1) + 4 * CLASSES * WIDTH),
        ("knn", 2 * 5000 * WIDTH),
        ("react", 4 * CLASSES * (WIDTH + 1)),
        ("kl_matching", 4 * CLASSES * CLASSES),
    ],
)
def test_bytes_are_those_of_the_arrays(costs: dict[str, HeadCost], name: str, arrays: int) -> None:
    """A whitening D x D, a mean and K means in float32; a bank 5,000 x D in float16; W and b."""
    least = DECISION + arrays

    assert least < costs[name].size_bytes < least + FRAME


def test_a_head_that_cannot_be_fitted_has_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in its place among the others."""
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    monkeypatch.setattr(HEADS, "names", lambda: ["ash", "energy"])
    steps: list[str] = []

    first, second = registered_costs(ExampleLayer(2, 3), on_step=steps.append)

    assert ("ash", 0, {}) == (first.head, first.size_bytes, first.added_us)
    assert "1 of 3 features" in first.unmeasured
    assert ("energy", "") == (second.head, second.unmeasured)
    assert ["statistics of 6000 rows", "each head alone"] == steps


def test_a_large_product_takes_longer_than_none() -> None:
    """The distance to 5,000 rows of a bank against a maximum over 10 logits, many times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SECONDS", 0.02)
        patch.setattr(HEADS, "names", lambda: ["knn", "max_logit"])
        bank, maximum = registered_costs(ExampleLayer(CLASSES, 512))

    for size in BATCH_SIZES:
        assert bank.added_us[size] > 3 * maximum.added_us[size]
