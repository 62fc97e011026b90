"""The heads of a classifier, scaled and fed with something else than its features."""

import pytest
import torch

from edge_ood.models import Classifier, IndependentHeads, build_classifier, scale_heads
from edge_ood.scores import PENULTIMATE

EXACT = 1e-5  # float32 sums in another order


def classifier_and_images(heads: int) -> tuple[Classifier, torch.Tensor]:
    """In evaluation mode, with biases."""
    torch.manual_seed(0)
    classifier = build_classifier("wrn-10-1", 3, heads=heads).eval()
    assert isinstance(classifier.heads, IndependentHeads)
    for head in classifier.heads.linear:
        torch.nn.init.normal_(head.get_parameter("bias"))
    return classifier, torch.randn(4, 3, 8, 8)


@pytest.mark.parametrize("heads", [1, 2])
def test_scaled_heads_scale_what_features_say(heads: int) -> None:
    """Logits are those of features three times as long, in every head, and biases stay."""
    classifier, images = classifier_and_images(heads)

    scaled = scale_heads(classifier, 3.0)(images)

    expected = classifier(images, head_inputs=lambda features: 3 * features)
    torch.testing.assert_close(scaled.logits, expected.logits, rtol=EXACT, atol=EXACT)
    if heads == 2:
        torch.testing.assert_close(scaled.logits_pair, expected.logits_pair, rtol=EXACT, atol=EXACT)
    features = expected.features[PENULTIMATE]
    assert torch.equal(features, scaled.features[PENULTIMATE])


def test_scaling_leaves_the_trained_heads_alone() -> None:
    """Only the trunk is shared: the weights in training stay as they were."""
    classifier, images = classifier_and_images(1)
    before = classifier(images).logits

    scaled = scale_heads(classifier, 3.0)

    assert torch.equal(before, classifier(images).logits)
    assert scaled.trunk is classifier.trunk
    assert list(classifier.state_dict()) == list(scaled.state_dict())
