"""Networks of Paddle, exported through Paddle2ONNX."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.case import Case, Predict
from zoo.pictures import CLASSES, Pictures, fit_linear

__all__ = ["CASES"]

_SIDE_PX = 64
_OF_PICTURES = 2
_PASSES = 8
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def _make(folder: Path, pictures: Pictures, *, name: str, settings: dict[str, Any]) -> Predict:
    import paddle
    from paddle.vision import models, transforms

    paddle.seed(0)
    network = getattr(models, name)(num_classes=len(CLASSES), **settings)
    sized = [transforms.Resize(_SIDE_PX), transforms.CenterCrop(_SIDE_PX), transforms.ToTensor()]
    transform = transforms.Compose([*sized, transforms.Normalize(_MEAN, _STD)])

    def read(paths: Sequence[Path]) -> Any:
        return paddle.stack([transform(Image.open(path).convert("RGB")) for path in paths])

    def predict(paths: Sequence[Path]) -> NDArray[np.float64]:
        with paddle.no_grad():
            rows: NDArray[np.float64] = network(read(paths)).numpy().astype(np.float64)
        return rows

    paths, labels = pictures.labelled()
    with paddle.no_grad():
        _teach(network, read(paths), labels)
    shape = [None, 3, _SIDE_PX, _SIDE_PX]
    images = paddle.static.InputSpec(shape, "float32", "image")
    paddle.onnx.export(network, str(folder / "classifier"), input_spec=[images])
    return predict


def _teach(network: Any, images: Any, labels: NDArray[np.int64]) -> None:
    """Settle batch normalisation, and fit the last layer."""
    import paddle

    parts = network.sublayers()
    for part in parts:
        if isinstance(part, paddle.nn.BatchNorm2D):
            part._momentum = 0.5
    network.train()
    for _ in range(_PASSES):
        network(images[::_OF_PICTURES])
    network.eval()
    linear = [part for part in parts if isinstance(part, paddle.nn.Linear)][-1]
    seen: list[Any] = []
    hook = linear.register_forward_pre_hook(lambda _, entered: seen.append(entered[0]))
    network(images)
    hook.remove()
    weights, bias = fit_linear(seen[0].numpy(), labels)
    linear.weight.set_value(weights.T)
    linear.bias.set_value(bias)


def _case(name: str, features: int, **settings: Any) -> Case:
    make = partial(_make, name=name, settings=settings)
    return Case(name, "Paddle", make, features=features)


CASES = (
    _case("mobilenet_v1", 256, scale=0.25),
    _case("resnet18", 512),
    _case("shufflenet_v2_x0_25", 512),
)
