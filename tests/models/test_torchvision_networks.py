"""Torchvision's classifiers against torchvision itself."""

import pytest
import torch
import torchvision

from edge_ood.models import build_classifier

# Logits are of order 1; the same sum in another order differs by a few units in the last place.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize(
    ("name", "head"), [("resnet18", "fc"), ("mobilenet_v3_small", "classifier.3")]
)
def test_trunk_and_head_make_the_original_network(name: str, head: str) -> None:
    """With torchvision's own last layer as head, the logits are torchvision's."""
    torch.manual_seed(0)
    original = torchvision.models.get_model(name, weights=None, num_classes=1000).eval()
    classifier = build_classifier(name, 1000).eval()
    weights = original.state_dict()
    last = {key: weights.pop(f"{head}.{key}") for key in ("weight", "bias")}
    classifier.trunk.get_submodule("network").load_state_dict(weights)
    classifier.heads.get_submodule("linear.0").load_state_dict(last)
    images = torch.randn(2, 3, 64, 64)

    torch.testing.assert_close(original(images), classifier(images).logits, **ROUNDING)
