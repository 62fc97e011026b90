"""The fast network against its published count, closed forms, and a forward pass by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from edge_ood.errors import InputError
from edge_ood.models import build_classifier
from edge_ood.models.airbench import Airbench, airbench

ROUNDING = {"rtol": 1e-4, "atol": 1e-5}  # of float32 sums in another order


def test_parameter_count_is_the_published_one() -> None:
    """1,972,792 with the whitening filters and gains of one; theirs lacks the last layer's bias."""
    classifier = build_classifier("airbench", 10)
    assert isinstance(classifier.trunk, Airbench)

    learnt = sum(weights.numel() for weights in classifier.parameters())

    gains = sum(2 * width for width in (64, 256, 256))
    assert 1_972_792 == learnt + classifier.trunk.whitening.numel() + gains - 10


def test_patches_are_whitened() -> None:
    """Of images with correlated pixels patches come out uncorrelated, with variance v / (v + e)."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(40, 3, 24, 24, generator=generator)
    images = functional.avg_pool2d(rough, 3, 1) + rough.mean(1, keepdim=True)[..., 1:-1, 1:-1]
    trunk = airbench("airbench")

    trunk.see_first(images)

    found = functional.conv2d(images, trunk.whitening).transpose(0, 1).flatten(1).double()
    moments = (found @ found.T / found.shape[1]).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(images.double().numpy(), (2, 2), (2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    variances = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
    expected = np.diag(variances / (variances + 5e-4))
    np.testing.assert_allclose(expected, moments[:12, :12], atol=1e-5)
    np.testing.assert_allclose(-moments[:12, :12], moments[:12, 12:], atol=1e-6)


def test_convolutions_start_as_the_identity() -> None:
    """The first channels of an untrained convolution are what came in."""
    maps = torch.randn(2, 64, 6, 6)
    convolution = airbench("airbench").stages[1].conv1

    np.testing.assert_allclose(convolution(maps)[:, :64].detach(), maps, rtol=1e-6)


def test_the_forward_pass_is_the_papers() -> None:
    """Convolution, halving, normalisation and GELU, written out one by one."""
    torch.manual_seed(0)
    classifier = build_classifier("airbench:width=0.25", 4)
    classifier.trunk.see_first(torch.randn(8, 3, 32, 32))
    images = torch.randn(4, 3, 32, 32)
    classifier.train()(images)
    for name, value in classifier.named_parameters():
        if name.endswith("shift"):
            nn.init.normal_(value, std=0.1)
    weights = classifier.eval().state_dict()

    def normed(x: torch.Tensor, prefix: str) -> torch.Tensor:
        mean, var, shift = (
            weights[f"{prefix}.{name}"] for name in ("running_mean", "running_var", "shift")
        )
        return functional.gelu(functional.batch_norm(x, mean, var, bias=8 * shift))

    x = functional.conv2d(images, weights["trunk.whitening"], weights["trunk.shift"])
    x = functional.gelu(x)
    for stage in (f"trunk.stages.{number}" for number in range(3)):
        x = functional.conv2d(x, weights[f"{stage}.conv1.weight"], padding=1)
        x = normed(functional.max_pool2d(x, 2), f"{stage}.norm1")
        x = functional.conv2d(x, weights[f"{stage}.conv2.weight"], padding=1)
        x = normed(x, f"{stage}.norm2")
    assert (3, 3) == x.shape[2:]
    expected = x.amax((2, 3)) / 9

    found = classifier(images)

    torch.testing.assert_close(found.features["penultimate"], expected, **ROUNDING)


def test_shifts_learn_at_64_times_the_rate() -> None:
    """As if each had a rate of its own in SGD, with the decay of the other weights."""
    torch.manual_seed(0)
    maps, rate, decay = torch.randn(8, 6, 4, 4), 0.01, 0.1
    ours = airbench("airbench", width=0.1).stages[0].norm1
    theirs = nn.BatchNorm2d(6)
    theirs.weight.requires_grad_(requires_grad=False)
    steps = [
        torch.optim.SGD(ours.parameters(), rate, 0.9, weight_decay=decay, nesterov=True),
        torch.optim.SGD([theirs.bias], 64 * rate, 0.9, weight_decay=decay / 64, nesterov=True),
    ]
    for _ in range(5):
        for layer, optimizer in zip((ours, theirs), steps, strict=True):
            (layer(maps) - torch.arange(6.0).view(-1, 1, 1)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    torch.testing.assert_close(ours(maps), theirs(maps), **ROUNDING)
    assert theirs.bias.abs().max() > 0.1


@pytest.mark.parametrize("width", [0, -1, 9, float("nan")])
def test_absurd_widths_are_refused(width: float) -> None:
    """A network of no channels, or of millions."""
    with pytest.raises(InputError, match="expected 0 < width <= 8"):
        airbench("airbench", width=width)
