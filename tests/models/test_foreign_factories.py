"""Networks made by functions of the user's own: found, called, trained, and refused in one line."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.models import (
    PENULTIMATE,
    IndependentHeads,
    bind_model,
    build_classifier,
    check_input,
)
from edge_ood.registry import parse_spec

CLASSES = 5

SOURCE = """
import math

import torch
from torch import nn
from torch.nn import functional


class Normed(nn.Module):
    def __init__(
        self, num_classes=3, width=4, dropout=0.5, act="relu", wide=False, layer=nn.Conv2d
    ):
        super().__init__()
        self.conv = layer(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, images):
        maps = functional.relu(self.norm(self.conv(images)))
        return self.fc(self.dropout(maps.mean((2, 3))))


def needed(num_classes):
    return Normed(num_classes, dropout=0.0)


def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 6), nn.ReLU(), nn.Linear(6, 4))


def passes(**options):
    return Normed(**options)


def width_needed(num_classes, width):
    return Normed(num_classes, width)


def certain():
    return nn.Sequential(fixed(), nn.Softmax(1))


def convolution():
    return nn.Conv2d(3, 4, 1)


def text():
    return "a network"


def computed():
    width = int(torch.tensor(4.0).item())
    return Normed(width=width)


made = fixed()
seven = 7
"""


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package `nets` with a module `small` in the working directory, as the command sees it."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").touch()
    (tmp_path / "nets" / "small.py").write_text(SOURCE)
    (tmp_path / "needing.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "nets"]:
        del sys.modules[name]


def test_trunk_and_heads_make_the_users_network() -> None:
    """With the user's own last layer as head, the logits are the user's, to the bit."""
    torch.manual_seed(0)
    classifier = build_classifier("nets.small:Normed:dropout=0", CLASSES).eval()
    original = sys.modules["nets.small"].Normed(CLASSES).eval()
    weights = original.state_dict()
    last = {key: weights.pop(f"fc.{key}") for key in ("weight", "bias")}
    classifier.trunk.get_submodule("network").load_state_dict(weights)
    classifier.heads.get_submodule("linear.0").load_state_dict(last)
    images = torch.randn(2, 3, 9, 9)

    outputs = classifier(images)

    torch.testing.assert_close(original(images), outputs.logits, rtol=0, atol=0)
    assert (2, 4) == outputs.features[PENULTIMATE].shape


@pytest.mark.parametrize("factory", ["Normed", "needed", "fixed", "passes", "computed"])
def test_any_way_to_make_a_network_can_be_trained(factory: str) -> None:
    """With or without `num_classes`, with any keywords, our heads have the wanted classes."""
    model = bind_model(f"nets.small:{factory}")
    check_input(model, 8, 2)

    outputs = build_classifier(model, CLASSES, heads=2)(torch.randn(2, 3, 8, 8))

    assert (2, 2, CLASSES) == outputs.logits_pair.shape


def test_parameters_have_the_types_of_their_defaults() -> None:
    """Numbers, truth values and text can be given; classes and other objects cannot."""
    bound = bind_model("nets.small:Normed:width=8,dropout=0,wide=true")

    assert {"width": 8, "dropout": 0.0, "act": "relu", "wide": True} == bound.parameters
    assert 8 == build_classifier(bound, CLASSES).trunk.num_features


def test_an_unknown_parameter_gets_the_closest() -> None:
    """A misspelt parameter is answered with the function's own."""
    with pytest.raises(UnknownNameError, match=r"of nets\.small:Normed 'dropuot'") as caught:
        bind_model("nets.small:Normed:dropuot=0.1")

    assert "dropout" == caught.value.closest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at.all:build", "no module 'nowhere' here or in the environment"),
        ("nets.big:build", r"no module 'nets\.big' here"),
        ("needing:build", "needs the module 'nowhere_to_be_found', which is not installed"),
        ("nets.small:Norm", r"small\.py' has no 'Norm'"),
        ("nets.small:seven", "is of type 'int', expected a function or class"),
        ("nets.small:made", "is of type 'Sequential', expected a function or class"),
        ("nets.small:text", r"returned a value of type 'str', expected a torch\.nn\.Module"),
        ("nets.small:width_needed", "missing a required argument: 'width'"),
        ("nets.small:convolution", "has no linear layer"),
        ("builtins:dict", "does not say what parameters it takes"),
    ],
)
def test_what_makes_no_network_is_refused(name: str, message: str) -> None:
    """Each mistake is one line that names the model and what was found."""
    with pytest.raises(InputError, match=message) as caught:
        build_classifier(name, CLASSES)

    assert f"model '{name}'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mistakes_in_the_users_code_keep_their_traceback() -> None:
    """An error that the user's own function raises is not dressed up as ours."""
    Path("nets/wrong.py").write_text("def build():\n    int(nothing=1)\n")

    with pytest.raises(TypeError, match="'nothing' is an invalid keyword"):
        build_classifier("nets.wrong:build", CLASSES)


def test_an_image_size_that_does_not_fit_is_refused_before_training() -> None:
    """The network's own words say why, behind the size that arrived."""
    with pytest.raises(InputError, match=r"2 image\(s\) of 9 px: .*shapes cannot be") as caught:
        check_input(parse_spec("nets.small:fixed"), 9, 128)

    assert "--image-size" in str(caught.value.hint)


def test_a_network_that_goes_on_after_its_last_layer_is_not_trained() -> None:
    """Heads in the place of a layer that is not the last would train another network."""
    with pytest.raises(InputError, match=r"does not end in its last linear layer '0\.3'") as caught:
        check_input(parse_spec("nets.small:certain"), 8, 2)

    assert "export --model" in str(caught.value.hint)


def test_trying_a_network_leaves_no_trace() -> None:
    """Neither torch's generator nor the import path is moved by a check."""
    before, path = torch.get_rng_state(), list(sys.path)

    check_input(parse_spec("nets.small:Normed"), 8, 2)

    assert torch.equal(before, torch.get_rng_state())
    assert path == sys.path


def test_heads_are_ours() -> None:
    """The classifier has the heads that every objective expects."""
    classifier = build_classifier("nets.small:fixed", CLASSES, heads=2)

    assert isinstance(classifier.heads, IndependentHeads)
    assert isinstance(classifier.trunk.get_submodule("network.3"), nn.Identity)
