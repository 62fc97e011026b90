"""Small networks of many families of timm, with timm's own transform for each."""

from functools import partial
from pathlib import Path
from typing import Any

from zoo.case import Case, Predict
from zoo.pictures import CLASSES, Pictures
from zoo.torch_networks import Transform, export_traced, predictor, settle, teach

__all__ = ["CASES", "build"]

_SIDE_PX = 64
_TAKES_SIZE = ("vit_", "mixer_")
"""Beginnings of names of networks that are built for one size."""


def build(name: str, pictures: Pictures) -> tuple[Any, Transform]:
    """A network of four classes, and how timm prepares a picture for it."""
    import timm
    import torch

    torch.manual_seed(0)
    sized = {"img_size": _SIDE_PX} if name.startswith(_TAKES_SIZE) else {}
    network = timm.create_model(name, pretrained=False, num_classes=len(CLASSES), **sized).eval()
    given = {"input_size": (3, _SIDE_PX, _SIDE_PX)}
    transform = timm.data.create_transform(**timm.data.resolve_data_config(given, model=network))
    settle(network, pictures, transform)
    teach(network.get_classifier(), pictures, predictor(network, transform))
    return network, transform


def _make(folder: Path, pictures: Pictures, *, name: str) -> Predict:
    network, transform = build(name, pictures)
    export_traced(network, folder / "classifier.onnx", _SIDE_PX)
    return predictor(network, transform)


def _case(
    name: str,
    features: int,
    *,
    crop: float = 0.875,
    interpolation: str = "bicubic",
    pixels: str = "imagenet",
    fault: str = "",
) -> Case:
    options = f"--pixels {pixels} --crop {crop} --interpolation {interpolation}"
    make = partial(_make, name=name)
    return Case(name, "timm", make, options, features=features, fault=fault)


CASES = (
    _case("convnext_atto", 320),
    _case("dla46_c", 0, interpolation="bilinear"),
    _case("edgenext_xx_small", 168, crop=0.9),
    _case("efficientnet_lite0", 1280),
    _case("fastvit_t8", 768, crop=0.9),
    _case("ghostnet_050", 1280),
    _case("lcnet_050", 1280),
    _case("mixer_s32_224", 512, pixels="signed"),
    _case("mobilenetv4_conv_small", 1280),
    _case("mobilevit_xxs", 320, crop=0.9, pixels="unit"),
    _case(
        "nf_regnet_b0", 960, crop=0.9, fault="weights that are normalised pass for training mode"
    ),
    _case("poolformer_s12", 512, crop=0.9),
    _case("pvt_v2_b0", 256, crop=0.9),
    _case("regnetx_002", 368),
    _case("resnet10t", 512),
    _case("starnet_s1", 192),
    _case("tinynet_e", 1280),
    _case("vit_tiny_patch16_224", 192, crop=0.9, pixels="signed"),
)
