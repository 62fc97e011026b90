"""Networks of torchvision, with the transform that its weights have."""

from functools import partial
from pathlib import Path

from zoo.case import Case, Predict
from zoo.pictures import CLASSES, Pictures
from zoo.torch_networks import export, predictor, settle, teach

__all__ = ["CASES"]

_SIDE_PX, _RESIZED_PX = 64, 73


def _make(folder: Path, pictures: Pictures, *, name: str) -> Predict:
    import torch
    from torchvision.models import get_model
    from torchvision.transforms._presets import ImageClassification

    torch.manual_seed(0)
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    network = get_model(name, weights=None, num_classes=len(CLASSES), **options).eval()
    transform = ImageClassification(crop_size=_SIDE_PX, resize_size=_RESIZED_PX)
    settle(network, pictures, transform)
    predict = predictor(network, transform)
    linear = [part for part in network.modules() if isinstance(part, torch.nn.Linear)][-1]
    teach(linear, pictures, predict)
    export(network, folder / "classifier.onnx", _SIDE_PX)
    return predict


def _case(name: str, features: int) -> Case:
    make = partial(_make, name=name)
    return Case(name, "torchvision", make, "--crop 0.875", features=features)


CASES = (
    _case("googlenet", 1024),
    _case("mobilenet_v3_small", 1024),
    _case("regnet_x_400mf", 400),
    _case("resnet18", 512),
    _case("shufflenet_v2_x0_5", 1024),
)
