"""Outlier Exposure against SciPy, and the batch that its forward pass sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp

from edge_ood.models import build_classifier
from edge_ood.objectives import OBJECTIVES, Batch
from edge_ood.scores import Outputs

EXACT = 1e-5  # float32 against float64, values of order 1
KNOWN, OUTLIERS, CLASSES = 2, 5, 4


def fixed_problem() -> tuple[np.ndarray, Batch]:
    """Logits (7, K) of two ID images and five outliers."""
    logits = np.random.default_rng(0).normal(0, 2, (KNOWN + OUTLIERS, CLASSES))
    images = torch.zeros(KNOWN, 3, 1, 1)
    return logits, Batch(images, torch.tensor([1, 3]), torch.zeros(OUTLIERS, 3, 1, 1))


def terms(logits: np.ndarray) -> tuple[float, float]:
    """Cross-entropy of the ID images, and from the uniform distribution to the outliers."""
    known, outliers = logits[:KNOWN], logits[KNOWN:]
    cross_entropy = np.mean(logsumexp(known, 1) - known[[0, 1], [1, 3]])
    return float(cross_entropy), float(np.mean(logsumexp(outliers, 1) - outliers.mean(1)))


@pytest.mark.parametrize(("parameters", "weight"), [({}, 0.5), ({"weight": 2.0}, 2.0)])
def test_each_mean_is_over_its_own_batch(parameters: dict[str, float], weight: float) -> None:
    """The loss is CE + weight * H(U; p) with separate means, whatever the batch sizes."""
    logits, batch = fixed_problem()
    outputs = Outputs(torch.tensor(logits, dtype=torch.float32))

    (loss,) = OBJECTIVES.get("outlier-exposure").losses(lambda _: outputs, batch, **parameters)

    cross_entropy, uniform = terms(logits)
    assert cross_entropy + weight * uniform == pytest.approx(loss.item(), abs=EXACT)


def test_the_prior_replaces_the_uniform_target() -> None:
    """With target=prior the outliers' term is SciPy's cross-entropy from the class shares."""
    logits, batch = fixed_problem()
    prior = np.array([0.5, 0.25, 0.25, 0.0])
    batch = replace(batch, prior=torch.tensor(prior, dtype=torch.float32))
    outputs = Outputs(torch.tensor(logits, dtype=torch.float32))

    (loss,) = OBJECTIVES.get("outlier-exposure").losses(lambda _: outputs, batch, target="prior")

    outliers = -np.mean(log_softmax(logits[KNOWN:], 1) @ prior)
    assert terms(logits)[0] + 0.5 * outliers == pytest.approx(loss.item(), abs=EXACT)


def test_two_heads_have_the_mean_of_their_own_losses() -> None:
    """With different logits per head, the loss is the mean of both heads' losses."""
    logits, batch = fixed_problem()
    pair = np.stack([logits, -logits], axis=1)
    outputs = Outputs(torch.zeros(7, CLASSES), torch.tensor(pair, dtype=torch.float32))

    (loss,) = OBJECTIVES.get("outlier-exposure").losses(lambda _: outputs, batch)

    losses = [known + 0.5 * uniform for known, uniform in (terms(logits), terms(-logits))]
    assert np.mean(losses) == pytest.approx(loss.item(), abs=EXACT)


def test_equal_logits_cost_the_floor() -> None:
    """Undecided outliers cost exactly weight * ln K on top of the cross-entropy."""
    _, batch = fixed_problem()
    outputs = Outputs(torch.zeros(KNOWN + OUTLIERS, CLASSES))

    (loss,) = OBJECTIVES.get("outlier-exposure").losses(lambda _: outputs, batch)

    assert 1.5 * np.log(CLASSES) == pytest.approx(loss.item(), abs=EXACT)


def test_batch_normalisation_sees_the_joined_batch() -> None:
    """The running mean of the first layer is that of ID images and outliers together."""
    torch.manual_seed(0)
    classifier = build_classifier("wrn-10-1", CLASSES)
    images, outliers = torch.randn(4, 3, 8, 8), torch.randn(6, 3, 8, 8) + 2
    batch = Batch(images, torch.arange(4), outliers)
    stem = classifier.trunk.get_submodule("stem")
    joined = stem(torch.cat([images, outliers])).mean((0, 2, 3)).detach()

    list(OBJECTIVES.get("outlier-exposure").losses(classifier, batch))

    momentum = 0.1  # torch's default: the running mean starts at 0
    found = classifier.get_buffer("trunk.stages.0.norm1.running_mean") / momentum
    torch.testing.assert_close(joined, found, rtol=1e-4, atol=1e-5)
