"""Weights of other origin in our classifiers: what fits by name and shape, and what is refused."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from edge_ood.errors import ArtifactError
from edge_ood.models import build_classifier
from edge_ood.weights.file import Weights
from edge_ood.weights.fitting import fitted

NAME = "mobilenet_v3_small"
CLASSES = 7


def trained() -> dict[str, Tensor]:
    """Torchvision's own network, with numbers that no initialisation draws."""
    torch.manual_seed(0)
    state = torchvision.models.get_model(NAME, weights=None, num_classes=CLASSES).state_dict()
    return {
        n: a + 0.1 * torch.rand_like(a) if a.is_floating_point() else a for n, a in state.items()
    }


def of_file(arrays: dict[str, Tensor]) -> Weights:
    return Weights("'w.pth'", "0" * 64, arrays)


def logits_of(weights: Weights, images: Tensor) -> Tensor:
    """What a classifier of ours says that took trunk and head."""
    classifier = build_classifier(NAME, CLASSES).eval()
    found = fitted(weights, classifier, NAME)
    classifier.trunk.load_state_dict(found.trunk)
    classifier.heads.linear[0].load_state_dict(found.head)
    with torch.inference_mode():
        logits: Tensor = classifier(images).logits
    return logits


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def expected(images: Tensor) -> Tensor:
    """What torchvision's network says with the same weights."""
    network: nn.Module = torchvision.models.get_model(NAME, weights=None, num_classes=CLASSES)
    network.load_state_dict(trained())
    with torch.inference_mode():
        logits: Tensor = network.eval()(images)
    return logits


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "net.backbone.", "_orig_mod.module.model.encoder."]
)
def test_a_whole_network_fills_trunk_and_head(
    prefix: str, images: Tensor, expected: Tensor
) -> None:
    """Under whatever wrappers: the logits are those of torchvision's own network."""
    weights = of_file({prefix + name: array for name, array in trained().items()})

    torch.testing.assert_close(logits_of(weights, images), expected)


def test_wrappers_of_a_part_alone_are_taken_off(images: Tensor, expected: Tensor) -> None:
    """A backbone in a wrapper, beside a last layer that is in none."""
    weights = of_file(
        {
            name if name.startswith("classifier.3") else f"backbone.{name}": array
            for name, array in trained().items()
        }
    )

    torch.testing.assert_close(logits_of(weights, images), expected)


def test_weights_of_a_run_fit_as_well() -> None:
    """A run directory's names are our own; nothing is left out."""
    classifier = build_classifier("wrn-10-1", 3)
    state = classifier.state_dict()

    found = fitted(of_file(dict(state)), classifier, "wrn-10-1")

    assert all(torch.equal(state[f"trunk.{name}"], array) for name, array in found.trunk.items())
    assert torch.equal(state["heads.linear.0.weight"], found.head["weight"])
    assert () == found.notes


def test_what_does_not_fit_is_left_out_and_named() -> None:
    """A layer of another shape, one that is missing and one too many: less than a tenth of all."""
    arrays = trained()
    arrays["features.0.0.weight"] = torch.zeros(16, 4, 3, 3)
    del arrays["features.0.1.bias"]
    arrays["extra"] = torch.zeros(2)

    found = fitted(of_file(arrays), build_classifier(NAME, CLASSES), NAME)

    (note,) = found.notes
    assert note.startswith("4 weights of 'w.pth' do not fit and are left out: ")
    assert "features.0.0.weight (16, 4, 3, 3), extra (2,)" in note
    assert not {"network.features.0.0.weight", "network.features.0.1.bias"} & set(found.trunk)


def test_another_networks_weights_are_refused() -> None:
    """The error has the share that fits, and the first name on both sides."""
    other = torchvision.models.get_model("resnet18", weights=None).state_dict()

    with pytest.raises(ArtifactError) as caught:
        fitted(of_file(other), build_classifier(NAME, CLASSES), NAME)

    assert "'w.pth' belongs to another network: 0% of the values" in str(caught.value)
    assert "it names 'conv1.weight', the network 'features.0.0.weight'" in str(caught.value)


@pytest.mark.parametrize(("layer", "is_enough"), [("features.12.0", True), ("classifier.0", False)])
def test_nine_tenths_of_the_values_are_enough(layer: str, is_enough: bool) -> None:
    """Counted in values, not in names: 576 x 96 of 1.5 million may lack, 1,024 x 576 may not."""
    arrays = {n: a for n, a in trained().items() if not n.startswith(layer)}
    classifier = build_classifier(NAME, CLASSES)

    if is_enough:
        assert "(not there)" in fitted(of_file(arrays), classifier, NAME).notes[0]
        return
    with pytest.raises(ArtifactError, match=r"61% of the values of .*, expected 90%"):
        fitted(of_file(arrays), classifier, NAME)


def test_old_files_lack_the_count_of_batches(images: Tensor, expected: Tensor) -> None:
    """It is no weight: neither missed nor counted."""
    arrays = {n: a for n, a in trained().items() if not n.endswith("num_batches_tracked")}
    classifier = build_classifier(NAME, CLASSES)

    assert () == fitted(of_file(arrays), classifier, NAME).notes
