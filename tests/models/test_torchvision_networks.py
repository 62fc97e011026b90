"""Torchvision's classifiers against torchvision itself."""

import re
from typing import Any

import pytest
import torch
import torchvision

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.models import build_classifier
from edge_ood.models.torchvision_networks import NAMES

# Logits are of order 1; the same sum in another order differs by a few units in the last place.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}
WITHOUT_LINEAR_LAYER = {"squeezenet1_0", "squeezenet1_1"}
QUICK = ("alexnet", "convnext_tiny", "densenet121", "inception_v3", "mnasnet0_5", "regnet_y_400mf")
QUICK += ("maxvit_t", "swin_t", "vgg11", "wide_resnet50_2")


def every_network() -> list[Any]:
    """One of each architecture; the others as slow tests, but for gigabytes of RegNet."""
    names = sorted(set(NAMES) - WITHOUT_LINEAR_LAYER)
    return [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in names
        if not re.fullmatch(r"regnet_._\d+gf", name)
    ]


@pytest.mark.parametrize(
    ("name", "head"),
    [("resnet18", "fc"), ("mobilenet_v3_small", "classifier.3"), ("shufflenet_v2_x0_5", "fc")],
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


@pytest.mark.parametrize("name", every_network())
def test_every_classifier_has_as_many_weights_as_the_original(name: str) -> None:
    """With 1,000 classes only the auxiliary classifiers of two old networks are missing."""
    auxiliary = name in ("googlenet", "inception_v3")
    options = {"aux_logits": False, "init_weights": False} if auxiliary else {}
    # RegNet computes its widths with tensors, so it needs a device that has numbers.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        original = torchvision.models.get_model(name, weights=None, **options)
        classifier = build_classifier(name, 1000)

    # The last layer of MaxViT has no bias; ours does.
    bias = 1000 * (name == "maxvit_t")
    counts = [sum(w.numel() for w in net.parameters()) for net in (original, classifier)]
    assert counts[0] + bias == counts[1]


@pytest.mark.parametrize("name", sorted(WITHOUT_LINEAR_LAYER))
def test_a_classifier_without_a_linear_layer_is_refused(name: str) -> None:
    """SqueezeNet ends in a convolution, and the error says what is missing."""
    with pytest.raises(InputError, match=f"model '{name}' has no linear layer"):
        build_classifier(name, 4)


@pytest.mark.parametrize(
    ("name", "closest"), [("fcn_resnet50", "resnet50"), ("resnet_18", "resnet18")]
)
def test_a_name_that_is_no_classifier_gets_the_closest(name: str, closest: str) -> None:
    """Torchvision's segmentation networks, and misspelt classifiers, are unknown models."""
    with pytest.raises(UnknownNameError, match=f"unknown model '{name}'") as caught:
        build_classifier(name, 4)

    assert closest == caught.value.closest


def test_googlenet_gives_one_output_in_training() -> None:
    """The auxiliary classifiers, which return a tuple in training, are left out."""
    torch.manual_seed(0)
    classifier = build_classifier("googlenet", 3).train()

    assert (2, 3) == classifier(torch.randn(2, 3, 32, 32)).logits.shape
