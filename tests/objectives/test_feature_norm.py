"""Feature normalisation against SciPy, and which function of the weights is trained."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor

from edge_ood.models import Classifier, IndependentHeads, Trunk, scale_heads
from edge_ood.objectives import OBJECTIVES, Batch, head_factor_of
from edge_ood.scores import PENULTIMATE

EXACT = 1e-5  # float32 against float64, relative
WIDTH, CLASSES = 5, 3

losses = OBJECTIVES.get("feature-norm").losses


class FixedTrunk(Trunk):
    """The same features (N, 5) for any images."""

    num_features = WIDTH

    def __init__(self, features: np.ndarray) -> None:
        super().__init__()
        self.features = torch.tensor(features, dtype=torch.float32)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """An early layer, and the fixed features."""
        return {"early": images.mean((2, 3)), PENULTIMATE: self.features}


def problem(heads: int = 1, length: float = 1.0) -> tuple[Classifier, Batch]:
    """A classifier with random weights and biases, fixed features of four images, and labels."""
    generator = np.random.default_rng(0)
    classifier = Classifier(
        FixedTrunk(length * generator.normal(1, 2, (4, WIDTH))),
        IndependentHeads(WIDTH, CLASSES, heads),
    )
    for parameter in classifier.heads.parameters():
        values = torch.tensor(generator.normal(0, 1, parameter.shape), dtype=torch.float32)
        parameter.data.copy_(values)
    return classifier, Batch(torch.zeros(4, 3, 2, 2), torch.tensor([0, 2, 1, 1]))


def by_hand(classifier: Classifier, batch: Batch, tau: float) -> float:
    """The mean over images and heads of -log p_y, all in float64."""
    trunk, heads = classifier.trunk, classifier.heads
    assert isinstance(trunk, FixedTrunk)
    assert isinstance(heads, IndependentHeads)
    features = trunk.features.double().numpy()
    directions = features / np.sqrt((features**2).sum(1, keepdims=True))
    costs = []
    for head in heads.linear:
        weight, bias = (p.detach().double().numpy() for p in head.parameters())
        log_p = log_softmax(directions @ weight.T / tau + bias, axis=1)
        costs.append(-log_p[np.arange(4), batch.labels.numpy()].mean())
    return float(np.mean(costs))


def test_two_classes_by_hand() -> None:
    """Features (3, 4, 0, 0, 0), unit vectors for W, tau 0.5: logits (1.2, 1.6), and a bias of 1."""
    classifier, _ = problem()
    classifier.trunk = FixedTrunk(np.array([[3.0, 4.0, 0, 0, 0]]))
    linear = torch.nn.Linear(WIDTH, 2)
    linear.weight.data.copy_(torch.eye(2, WIDTH))
    linear.bias.data.copy_(torch.tensor([1.0, 0.0]))
    classifier.heads = IndependentHeads(WIDTH, 2, 1)
    classifier.heads.linear[0] = linear

    (loss,) = losses(classifier, Batch(torch.zeros(1, 3, 2, 2), torch.tensor([0])), tau=0.5)

    assert math.log1p(math.exp(1.6 - 2.2)) == pytest.approx(loss.item(), rel=EXACT)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize(("parameters", "tau"), [({}, 0.1), ({"tau": 0.7}, 0.7)])
def test_against_scipy(heads: int, parameters: dict[str, float], tau: float) -> None:
    """The cross-entropy of normalised features, the mean of the heads' own, tau 0.1 by default."""
    classifier, batch = problem(heads)

    (loss,) = losses(classifier, batch, **parameters)

    assert by_hand(classifier, batch, tau) == pytest.approx(loss.item(), rel=EXACT)


def test_the_length_of_features_is_not_trained() -> None:
    """A thousandfold length changes nothing, though it would change the exported logits."""
    (short,) = losses(*problem())
    (long,) = losses(*problem(length=1000))

    assert short.item() == pytest.approx(long.item(), rel=EXACT)


def test_what_is_exported_is_not_normalised() -> None:
    """W h / tau + b by hand: the heads' weights times the declared factor, their biases as is."""
    classifier, batch = problem()
    trunk = classifier.trunk
    assert isinstance(trunk, FixedTrunk)
    assert isinstance(classifier.heads, IndependentHeads)
    weight, bias = (p.detach() for p in classifier.heads.linear[0].parameters())

    exported = scale_heads(classifier, head_factor_of("feature-norm:tau=0.25"))

    expected = trunk.features @ weight.T / 0.25 + bias
    torch.testing.assert_close(exported(batch.images).logits, expected, rtol=EXACT, atol=EXACT)


def test_the_features_that_scores_read_stay_as_they_are() -> None:
    """Only the heads read directions: outputs have the trunk's own features, early ones too."""
    classifier, batch = problem()

    plain = classifier(batch.images)
    normalised = classifier(batch.images, head_inputs=lambda features: features / 2)

    assert list(plain.features) == list(normalised.features)
    assert torch.equal(plain.features[PENULTIMATE], normalised.features[PENULTIMATE])
    assert not torch.equal(plain.logits, normalised.logits)
