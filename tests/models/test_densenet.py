"""Densely connected networks against published counts and a forward pass written out by hand."""

import pytest
import torch
from torch.nn import functional

from edge_ood.errors import InputError
from edge_ood.models import build_classifier

# Logits are of order 1; the same sum in another order differs by a few units in the last place.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize(("classes", "parameters"), [(10, 769_162), (100, 800_032)])
def test_parameter_counts_are_the_published_ones(classes: int, parameters: int) -> None:
    """DenseNet-BC-100-12 has exactly as many weights as in the papers that use it."""
    with torch.device("meta"):
        classifier = build_classifier("densenet-bc-100-12", classes)

    assert parameters == sum(weight.numel() for weight in classifier.parameters())


def test_the_forward_pass_is_the_papers() -> None:
    """Three blocks of one layer equal bottlenecks, concatenations and transitions by hand."""
    torch.manual_seed(0)
    classifier = build_classifier("densenet-bc-10-6", 4).eval()
    weights = classifier.state_dict()
    images = torch.randn(2, 3, 12, 12)

    def normed(x: torch.Tensor, prefix: str) -> torch.Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.relu(functional.batch_norm(x, *(weights[f"{prefix}.{n}"] for n in names)))

    x = functional.conv2d(images, weights["trunk.stem.weight"], padding=1)
    for index in range(5):
        block = f"trunk.blocks.{index}"
        if index % 2:
            x = functional.conv2d(normed(x, f"{block}.norm"), weights[f"{block}.conv.weight"])
            x = functional.avg_pool2d(x, 2)
            continue
        y = functional.conv2d(normed(x, f"{block}.norm1"), weights[f"{block}.conv1.weight"])
        y = functional.conv2d(
            normed(y, f"{block}.norm2"), weights[f"{block}.conv2.weight"], padding=1
        )
        x = torch.cat([x, y], dim=1)
    pooled = normed(x, "trunk.norm").mean((2, 3))
    expected = pooled @ weights["heads.linear.0.weight"].T + weights["heads.linear.0.bias"]

    torch.testing.assert_close(expected, classifier(images).logits, **ROUNDING)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("densenet-bc-101-12", "densenet-bc-100-12"),
        ("densenet-bc-4-12", "densenet-bc-10-12"),
        ("densenet-bc-100-0", "densenet-bc-100-1"),
    ],
)
def test_an_impossible_size_gets_the_nearest(name: str, nearest: str) -> None:
    """A depth other than 6 n + 4, or no growth, is an error whose hint is a name that works."""
    with pytest.raises(InputError, match="expected depth 6 n") as caught:
        build_classifier(name, 4)

    assert nearest in str(caught.value.hint)


def test_dropout_reaches_every_layer_in_training_only() -> None:
    """With a probability in its name the network is random in training and not in evaluation."""
    torch.manual_seed(0)
    classifier = build_classifier("densenet-bc-10-6:dropout=0.5", 4)
    images = torch.randn(2, 3, 8, 8)

    assert not torch.equal(classifier(images).logits, classifier(images).logits)
    classifier.eval()
    assert torch.equal(classifier(images).logits, classifier(images).logits)


def test_dropout_of_one_is_refused() -> None:
    """A probability outside [0, 1) is an error."""
    with pytest.raises(InputError, match="expected 0 <= dropout < 1"):
        build_classifier("densenet-bc-10-6:dropout=1", 4)
