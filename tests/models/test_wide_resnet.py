"""Wide residual networks against published counts and a forward pass written out by hand."""

import math

import pytest
import torch
from torch.nn import functional

from edge_ood.errors import InputError
from edge_ood.models import build_classifier

# Logits are of order 1; the same sum in another order differs by a few units in the last place.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("wrn-40-2", 10, 2_243_546),
        ("wrn-40-2", 100, 2_255_156),
        ("wrn-28-10", 10, 36_479_194),
        ("wrn-16-4", 10, 2_748_890),
    ],
)
def test_parameter_counts_are_the_published_ones(name: str, classes: int, parameters: int) -> None:
    """The networks have exactly as many weights as in the papers that use them."""
    with torch.device("meta"):
        classifier = build_classifier(name, classes)

    assert parameters == sum(weight.numel() for weight in classifier.parameters())


def test_the_forward_pass_is_the_papers() -> None:
    """A widened network equals pre-activation residual blocks written out one by one."""
    torch.manual_seed(0)
    classifier = build_classifier("wrn-10-2", 4).eval()
    weights = classifier.state_dict()
    images = torch.randn(2, 3, 12, 12)

    def normed(x: torch.Tensor, prefix: str) -> torch.Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.relu(functional.batch_norm(x, *(weights[f"{prefix}.{n}"] for n in names)))

    x = functional.conv2d(images, weights["trunk.stem.weight"], padding=1)
    for index, stride in enumerate((1, 2, 2)):
        block = f"trunk.stages.{index}"
        x = normed(x, f"{block}.norm1")
        y = functional.conv2d(x, weights[f"{block}.conv1.weight"], stride=stride, padding=1)
        y = normed(y, f"{block}.norm2")
        y = functional.conv2d(y, weights[f"{block}.conv2.weight"], padding=1)
        x = y + functional.conv2d(x, weights[f"{block}.shortcut.weight"], stride=stride)
    pooled = normed(x, "trunk.norm").mean((2, 3))
    expected = pooled @ weights["heads.linear.0.weight"].T + weights["heads.linear.0.bias"]

    torch.testing.assert_close(expected, classifier(images).logits, **ROUNDING)


def test_later_blocks_of_a_stage_add_their_input_unchanged() -> None:
    """With its residual branch silenced, a block of constant width is the identity."""
    torch.manual_seed(0)
    block = build_classifier("wrn-16-1", 4).eval().trunk.get_submodule("stages.1")
    torch.nn.init.zeros_(block.get_parameter("conv2.weight"))
    images = torch.randn(1, 16, 8, 8)

    torch.testing.assert_close(images, block(images.clone()), rtol=0, atol=0)


def test_convolutions_start_with_the_papers_variance() -> None:
    """A 3x3 convolution from 64 to 128 channels starts with a deviation of sqrt(2 / 1152)."""
    torch.manual_seed(0)
    weight = build_classifier("wrn-10-2", 4).get_parameter("trunk.stages.2.conv1.weight")

    # 73,728 draws: the sample deviation is within 1 % at nearly four standard errors.
    assert math.sqrt(2 / (9 * 128)) == pytest.approx(weight.std().item(), rel=0.01)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("wrn-41-2", "wrn-40-2"), ("wrn-3-1", "wrn-10-1"), ("wrn-16-0", "wrn-16-1")],
)
def test_an_impossible_size_gets_the_nearest(name: str, nearest: str) -> None:
    """A depth other than 6 n + 4, or no width, is an error whose hint is a name that works."""
    with pytest.raises(InputError, match="expected depth 6 n") as caught:
        build_classifier(name, 4)

    assert nearest in str(caught.value.hint)


def test_dropout_is_a_parameter_of_the_name() -> None:
    """The probability in the name reaches every block."""
    classifier = build_classifier("wrn-10-1:dropout=0.2", 4)

    found = {m.p for m in classifier.modules() if isinstance(m, torch.nn.Dropout)}

    assert {0.2} == found


def test_dropout_of_one_is_refused() -> None:
    """A probability outside [0, 1) is an error."""
    with pytest.raises(InputError, match="expected 0 <= dropout < 1"):
        build_classifier("wrn-10-1:dropout=1", 4)
