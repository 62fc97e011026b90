"""Feature layers: which are found, which are refused, and what is captured."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.models import build_classifier
from edge_ood.scores import Outputs
from edge_ood.torch_export.layers import WithLayers, choose_layers

STAGES = {
    "resnet18": ("relu", "layer1", "layer2", "layer3"),
    "wrn-16-1": ("stages.1", "stages.3"),
    "convnext_tiny": ("features.1", "features.3", "features.5", "features"),
    "densenet121": (
        "features.relu0",
        "features.denseblock1",
        "features.denseblock2",
        "features.denseblock3",
    ),
    "mobilenet_v3_small": ("features.0", "features.1", "features.3", "features.8", "features"),
}


class Small(nn.Module):
    """A user's own network: a stage of two operations in place, then a stage that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.activation = nn.ReLU(inplace=True)
        self.shrink = nn.AvgPool2d(2)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.linear = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Outputs:
        """Logits and penultimate features."""
        maps = self.shrink(self.activation(self.first(images)))
        features = self.twice(self.twice(maps)).relu().mean(dim=(2, 3))
        return Outputs(self.linear(features), features={"penultimate": features})


class Tokens(nn.Module):
    """Maps with channels last, then a sequence of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 5)
        self.tokens = nn.Flatten(1, 2)
        self.linear = nn.Linear(5, 2)

    def forward(self, images: Tensor) -> Outputs:
        """Logits and penultimate features, of the first token."""
        features = self.tokens(self.last(images.permute(0, 2, 3, 1)))[:, 0]
        return Outputs(self.linear(features), features={"penultimate": features})


def noise(count: int, size: int) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", STAGES)
def test_auto_finds_the_stages(name: str) -> None:
    """The stem and the end of every stage, but for what the penultimate features are made of."""
    torch.manual_seed(0)
    model = build_classifier(name, 4).eval()

    found = choose_layers(model, 64, ("auto",))

    assert STAGES[name] == tuple(
        layer.split("trunk.")[1].removeprefix("network.") for layer in found
    )


def test_no_layers_are_the_default() -> None:
    """Nothing asked for, nothing added: the penultimate features alone."""
    assert () == choose_layers(Small().eval(), 8, ())


def test_named_layers_come_in_running_order() -> None:
    """However they are given, layers stand in the order in which the network computes them."""
    model = build_classifier("wrn-10-1", 2).eval()

    found = choose_layers(model, 8, ("trunk.stages.1", "trunk.stem", "trunk.stages.0"))

    assert ("trunk.stem", "trunk.stages.0", "trunk.stages.1") == found


def test_an_unknown_layer_gets_the_closest() -> None:
    """A slip in a name is answered with a layer that exists."""
    with pytest.raises(UnknownNameError, match="unknown feature layer 'frist'") as raised:
        choose_layers(Small().eval(), 8, ("frist",))

    assert "did you mean 'first'?" in str(raised.value.hint)


def test_a_networks_own_names_do_inside_our_wrapper() -> None:
    """The outermost submodule of a name is meant: `conv1`, not that of a block."""
    model = build_classifier("resnet18", 2).eval()

    found = choose_layers(model, 32, ("layer1.0", "conv1", "trunk.network.layer2"))

    network = "trunk.network"
    assert (f"{network}.conv1", f"{network}.layer1.0", f"{network}.layer2") == found


def test_a_name_that_several_bear_alike_is_refused() -> None:
    """Where no submodule of that name is the outermost, the full name is needed."""
    model = build_classifier("resnet18", 2).eval()

    with pytest.raises(UnknownNameError, match="unknown feature layer 'bn2'"):
        choose_layers(model, 32, ("bn2",))


@pytest.mark.parametrize("wanted", [("twice",), ("linear",), ("auto", "first")])
def test_layers_without_one_map_are_refused(wanted: Sequence[str]) -> None:
    """A module that runs twice, one without a map, and `auto` beside a name."""
    with pytest.raises(UnknownNameError, match="unknown feature layer"):
        choose_layers(Small().eval(), 8, wanted)


def test_a_layer_named_twice_is_refused() -> None:
    """Each layer counts once."""
    with pytest.raises(InputError, match="name one twice"):
        choose_layers(Small().eval(), 8, ("first", "first"))

    with pytest.raises(InputError, match="name one twice"):
        choose_layers(build_classifier("wrn-10-1", 2).eval(), 8, ("stem", "trunk.stem"))


def test_features_are_means_of_the_named_outputs() -> None:
    """Captured features equal a forward pass written out, spatially averaged, penultimate last."""
    torch.manual_seed(0)
    model, images = Small().eval(), noise(3, 8)
    with torch.inference_mode():
        first = model.first(images)
        shrunk = model.shrink(first.relu())
        expected = {"first": first.mean(dim=(2, 3)), "shrink": shrunk.mean(dim=(2, 3))}

        outputs = WithLayers(model, ("first", "shrink"))(images)

    assert ["first", "shrink", "penultimate"] == list(outputs.features)
    for layer, features in expected.items():
        torch.testing.assert_close(outputs.features[layer], features)


def test_an_activation_in_place_does_not_change_what_was_captured() -> None:
    """`first` is taken before the ReLU that overwrites its memory, so it has negative means."""
    torch.manual_seed(0)
    model = Small().eval()
    nn.init.constant_(model.first.bias, -1.0)

    with torch.inference_mode():
        features = WithLayers(model, ("first",))(noise(2, 8)).features["first"]

    assert (features < 0).any()


def test_maps_with_channels_last_and_tokens_are_averaged_over_space() -> None:
    """(N, H, W, C) and (N, T, D) give (N, C) and (N, D)."""
    torch.manual_seed(0)
    model, images = Tokens().eval(), noise(2, 8)
    expected = model.last(images.permute(0, 2, 3, 1)).mean(dim=(1, 2))

    outputs = WithLayers(model, choose_layers(model, 8, ("last", "tokens")))(images)

    torch.testing.assert_close(outputs.features["last"], expected)
    torch.testing.assert_close(outputs.features["tokens"], expected)


def test_the_classifier_is_left_without_hooks() -> None:
    """Running and choosing leave nothing behind, even if the network fails."""
    model = Small().eval()
    choose_layers(model, 8, ("auto",))

    with pytest.raises(RuntimeError, match="channels"):
        WithLayers(model, ("first",))(torch.zeros(1, 5, 8, 8))

    assert not any(module._forward_hooks for module in model.modules())
