"""Keras applications, exported by Keras itself or by tf2onnx."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.case import Case, Predict
from zoo.pictures import CLASSES, Pictures, fit_linear

__all__ = ["CASES"]

_SIDE_PX = 64
_OF_PICTURES = 4
_MOMENTUM, _PASSES = 0.3, 5
_CAFFE = "--channels bgr --mean 0.48502,0.45796,0.40760 --std 0.0039216,0.0039216,0.0039216"
"""Means of 123.68, 116.779 and 103.939 grey levels, and nothing divided."""


def _make(
    folder: Path, pictures: Pictures, *, name: str, by_keras: bool, settings: dict[str, Any]
) -> Predict:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, name)
    shape = (_SIDE_PX, _SIDE_PX, 3)
    trunk = build(weights=None, include_top=False, pooling="avg", input_shape=shape, **settings)
    shares = keras.layers.Dense(len(CLASSES), activation="softmax")(trunk.output)
    network = keras.Model(trunk.input, shares)
    prepare = sys.modules[build.__module__].preprocess_input
    size = {"target_size": (_SIDE_PX, _SIDE_PX), "interpolation": "bilinear"}

    def read(paths: Sequence[Path]) -> NDArray[np.float32]:
        loaded = [keras.utils.load_img(path, **size) for path in paths]
        planes: NDArray[np.float32] = prepare(np.stack(list(map(keras.utils.img_to_array, loaded))))
        return planes

    def predict(paths: Sequence[Path]) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = np.log(network.predict(read(paths), verbose=0), dtype=float)
        return rows

    paths, labels = pictures.labelled()
    _teach(network, read(paths), labels)
    target = folder / "classifier.onnx"
    (_by_keras if by_keras else _by_tf2onnx)(network, target)
    return predict


def _teach(network: Any, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Settle batch normalisation, and fit the last layer."""
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    for _ in range(_PASSES):
        network(images[::_OF_PICTURES], training=True)
    last = network.layers[-1]
    features = keras.Model(network.input, last.input).predict(images, verbose=0)
    weights, bias = fit_linear(features, labels)
    last.set_weights([weights.T, bias])


def _by_keras(network: Any, target: Path) -> None:
    network.export(target, format="onnx", verbose=False)


def _by_tf2onnx(network: Any, target: Path) -> None:
    import tensorflow
    import tf2onnx

    shape = (None, _SIDE_PX, _SIDE_PX, 3)
    images = (tensorflow.TensorSpec(shape, tensorflow.float32, name="images"),)
    tf2onnx.convert.from_keras(network, images, opset=17, output_path=str(target))


def _case(
    name: str,
    options: str,
    *,
    features: int = 0,
    refusal: str = "",
    by_keras: bool = True,
    **settings: Any,
) -> Case:
    make = partial(_make, name=name, by_keras=by_keras, settings=settings)
    library = "Keras" if by_keras else "Keras, by tf2onnx"
    typed = f"{options} --resize stretch"
    return Case(name, library, make, typed, features=features, refusal=refusal)


_CONSTANTS_AS_INPUTS = "the model has 3 inputs (...), expected one that takes images"
"""Keras 3 gives the mean and variance of a normalisation layer for inputs."""

CASES = (
    _case("EfficientNetV2B0", "--pixels byte", refusal=_CONSTANTS_AS_INPUTS),
    _case("MobileNet", "--pixels signed", features=256, alpha=0.25),
    _case("MobileNetV3Small", "--pixels byte", features=576, alpha=1.0),
    _case("MobileNetV2", "--pixels signed", features=1280, by_keras=False, alpha=0.35),
    _case("VGG16", _CAFFE, features=512, by_keras=False),
)
