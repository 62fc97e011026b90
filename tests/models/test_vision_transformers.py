"""Vision transformers: torchvision's numbers, and one image size."""

import pytest
import torch
import torchvision

from edge_ood.errors import InputError
from edge_ood.models import build_classifier, check_input
from edge_ood.registry import parse_spec

# Logits are of order 1; the same sum in another order differs by a few units in the last place.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


def test_trunk_and_head_make_the_original_network() -> None:
    """With torchvision's own last layer as head, the logits are torchvision's."""
    torch.manual_seed(0)
    original = torchvision.models.get_model("vit_b_32", weights=None, image_size=32).eval()
    torch.nn.init.normal_(original.heads.head.weight, std=0.02)  # zero until it is trained
    classifier = build_classifier("vit_b_32:image_size=32", 1000).eval()
    weights = original.state_dict()
    last = {key: weights.pop(f"heads.head.{key}") for key in ("weight", "bias")}
    classifier.trunk.get_submodule("network").load_state_dict(weights)
    classifier.heads.get_submodule("linear.0").load_state_dict(last)
    images = torch.randn(2, 3, 32, 32)

    torch.testing.assert_close(original(images), classifier(images).logits, **ROUNDING)


def test_images_of_another_size_are_refused() -> None:
    """The error names both sizes, and the hint is the model for the size that arrived."""
    with pytest.raises(InputError, match="built for images of 224 px, got 64 px") as caught:
        check_input(parse_spec("vit_b_16"), 64, 2)

    assert "--model vit_b_16:image_size=64" == caught.value.hint
    check_input(parse_spec("vit_b_16:image_size=64"), 64, 2)


@pytest.mark.parametrize(("size", "nearest"), [(40, 32), (10, 16)])
def test_an_image_size_between_patches_is_refused(size: int, nearest: int) -> None:
    """A size that is no multiple of the patch is an error whose hint is the nearest that is."""
    with pytest.raises(InputError, match=f"is {size}, expected a multiple of 16") as caught:
        build_classifier(f"vit_b_16:image_size={size}", 4)

    assert f"image_size={nearest} " in str(caught.value.hint)
