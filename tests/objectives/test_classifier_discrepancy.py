"""Classifier discrepancy by hand, against SciPy, and which gradients and batches its steps have."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy
from torch import Tensor

from edge_ood.models import Classifier, build_classifier
from edge_ood.objectives import OBJECTIVES, Batch, needs_of
from edge_ood.scores import Outputs

EXACT = 1e-5  # float32 against float64, values of order 1
SURE = 1e3  # a logit that makes a prediction certain in float32

losses = OBJECTIVES.get("classifier-discrepancy").losses


class FixedNetwork:
    """Logits (rows, 2, K) by the number of images asked for; remembers what it was asked."""

    def __init__(self, *pairs: object) -> None:
        tensors = [torch.tensor(np.asarray(pair), dtype=torch.float32) for pair in pairs]
        self.pairs = {len(pair): pair for pair in tensors}
        self.calls: list[tuple[int, tuple[int, ...]]] = []

    def __call__(self, images: Tensor, *, detached_heads: Sequence[int] = ()) -> Outputs:
        """The logits for that many images."""
        self.calls.append((len(images), tuple(detached_heads)))
        pair = self.pairs[len(images)]
        return Outputs(pair.mean(1), pair)


def hinge_of(unlabelled: object, **parameters: float) -> float:
    """What step B adds to the cross-entropies, for fixed unlabelled logits (M, 2, K)."""
    rows = np.asarray(unlabelled, np.float64)
    labelled = np.zeros((len(rows) + 1, 2, rows.shape[-1]))
    batch = Batch(
        torch.zeros(len(labelled), 3, 1, 1),
        torch.zeros(len(labelled), dtype=torch.int64),
        unlabelled=torch.zeros(len(rows), 3, 1, 1),
    )
    _, second = losses(FixedNetwork(labelled, rows), batch, **parameters)
    return second.item() - 2 * math.log(rows.shape[-1])


def known(classes: int) -> list[list[float]]:
    """Both heads are certain of the first class: their entropies do not differ."""
    certain = [SURE] + [0.0] * (classes - 1)
    return [certain, certain]


def split(classes: int) -> list[list[float]]:
    """The ideal answer to an unknown image: head 1 undecided, head 2 certain."""
    return [[0.0] * classes, [SURE] + [0.0] * (classes - 1)]


def test_the_ideal_discrepancy_is_ln_k() -> None:
    """On ideally split images it is ln 3, so the hinge is 1.2 - ln 3; for ten classes it closes."""
    assert 1.2 - math.log(3) == pytest.approx(hinge_of([split(3)] * 2), abs=EXACT)
    assert pytest.approx(0, abs=EXACT) == hinge_of([split(10)] * 2)


def test_half_id_images_keep_the_hinge_open() -> None:
    """At most ln 10 / 2 = 1.151 < 1.2 can be reached where only every other image is unknown."""
    value = hinge_of([split(10), known(10)] * 2)

    assert 1.2 - math.log(10) / 2 == pytest.approx(value, abs=EXACT)


def test_the_hinge_is_on_the_mean_of_the_batch() -> None:
    """Discrepancies ln 10 and 0 satisfy a margin of 1 on the mean, but not image by image."""
    assert pytest.approx(0, abs=EXACT) == hinge_of([split(10), known(10)], margin=1.0)


def test_the_sign_of_the_discrepancy() -> None:
    """The same disagreement with the heads exchanged costs 1.2 + ln 3."""
    exchanged = [split(3)[::-1]] * 2

    assert 1.2 + math.log(3) == pytest.approx(hinge_of(exchanged), abs=EXACT)


@pytest.mark.parametrize(("weight", "margin"), [(1.0, 1.2), (0.5, 3.0)])
def test_both_steps_against_scipy(weight: float, margin: float) -> None:
    """Step A is the heads' cross-entropies, B adds the weighted hinge of SciPy's entropies."""
    generator = np.random.default_rng(0)
    labelled, unlabelled = generator.normal(0, 2, (2, 2, 4)), generator.normal(0, 2, (5, 2, 4))
    images, labels = torch.zeros(2, 3, 1, 1), torch.tensor([1, 3])
    batch = Batch(images, labels, unlabelled=torch.zeros(5, 3, 1, 1))
    network = FixedNetwork(labelled, unlabelled)

    first, second = losses(network, batch, weight=weight, margin=margin)

    cross_entropies = -log_softmax(labelled, -1)[[0, 1], :, [1, 3]].mean(0).sum()
    entropies = entropy(softmax(unlabelled, -1), axis=-1)
    hinge = max(0, margin - (entropies[:, 0] - entropies[:, 1]).mean())
    assert cross_entropies == pytest.approx(first.item(), abs=EXACT)
    assert cross_entropies + weight * hinge == pytest.approx(second.item(), abs=EXACT)


def test_three_forward_passes() -> None:
    """Labelled images with head 2 detached; then both batches, each for itself, all attached."""
    network = FixedNetwork(np.zeros((3, 2, 4)), np.zeros((5, 2, 4)))
    batch = Batch(
        torch.zeros(3, 3, 1, 1), torch.tensor([0, 1, 2]), unlabelled=torch.zeros(5, 3, 1, 1)
    )

    list(losses(network, batch))

    assert [(3, (1,)), (3, ()), (5, ())] == network.calls


def real_problem() -> tuple[Classifier, Batch]:
    """A small network and batches of different brightness."""
    torch.manual_seed(0)
    classifier = build_classifier("wrn-10-1:dropout=0", 3, heads=2)
    images, unlabelled = torch.randn(6, 3, 8, 8), torch.randn(4, 3, 8, 8) + 2
    return classifier, Batch(images, torch.arange(6) % 3, unlabelled=unlabelled)


def trunk_gradients(classifier: Classifier) -> list[Tensor | None]:
    return [parameter.grad for parameter in classifier.trunk.parameters()]


def test_step_a_sends_nothing_from_head_2_to_the_trunk() -> None:
    """With head 1 at zero, head 2 alone could move the trunk: its gradient is exactly zero."""
    classifier, batch = real_problem()
    torch.nn.init.zeros_(classifier.get_parameter("heads.linear.0.weight"))

    next(losses(classifier, batch)).backward()

    assert all(g is not None and not g.any() for g in trunk_gradients(classifier))
    head = classifier.get_parameter("heads.linear.1.weight").grad
    assert head is not None
    assert head.any()


def test_step_b_sends_gradients_from_both_heads() -> None:
    """With head 1 at zero, the trunk still moves in the second step."""
    classifier, batch = real_problem()
    torch.nn.init.zeros_(classifier.get_parameter("heads.linear.0.weight"))
    steps = losses(classifier, batch)
    next(steps)
    classifier.zero_grad()

    next(steps).backward()

    assert all(g is not None and g.any() for g in trunk_gradients(classifier))


def test_batch_normalisation_sees_the_batches_apart() -> None:
    """The first layer's running mean has followed labelled, labelled and unlabelled images."""
    classifier, batch = real_problem()
    assert batch.unlabelled is not None
    stem = classifier.trunk.get_submodule("stem")
    labelled, unlabelled = (
        stem(images).mean((0, 2, 3)).detach() for images in (batch.images, batch.unlabelled)
    )

    list(losses(classifier, batch))

    momentum = 0.1  # torch's default: the running mean starts at 0
    expected = torch.zeros_like(labelled)
    for mean in (labelled, labelled, unlabelled):
        expected += momentum * (mean - expected)
    found = classifier.get_buffer("trunk.stages.0.norm1.running_mean")
    torch.testing.assert_close(expected, found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "pool", "folders"),
    [
        ("auxiliary", ("training", "outliers"), {"outliers"}),
        ("transductive", ("unlabelled",), {"unlabelled"}),
        ("transductive-split", ("unlabelled",), {"unlabelled"}),
    ],
)
def test_the_mode_says_where_unlabelled_images_come_from(
    mode: str, pool: tuple[str, ...], folders: set[str]
) -> None:
    """The default mixes training images and outliers; the others read a pool."""
    needs = needs_of(f"classifier-discrepancy:mode={mode}")

    assert (pool, folders, 2) == (needs.unlabelled, needs.folders, needs.heads)
    assert (pool if mode == "transductive-split" else ()) == needs.never_tested
    assert needs_of("classifier-discrepancy") == needs_of("classifier-discrepancy:mode=auxiliary")
