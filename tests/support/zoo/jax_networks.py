"""Networks of flax.nnx, exported by jax2onnx."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.case import Case, Predict
from zoo.pictures import CLASSES, Pictures

__all__ = ["CASES"]

_SIDE_PX, _FEATURES = 64, 32
_LEARNING_RATE, _STEPS = 0.01, 40


def _make(folder: Path, pictures: Pictures, *, build: Any) -> Predict:
    import onnx
    from flax import nnx
    from jax import numpy as jnp
    from jax2onnx import to_onnx

    network = build(nnx, nnx.Rngs(0))
    paths, labels = pictures.labelled()
    _train(network, jnp.asarray(_read(paths)), jnp.asarray(labels))
    shape = ("B", _SIDE_PX, _SIDE_PX, 3)
    onnx.save(to_onnx(network, [shape]), folder / "classifier.onnx")
    return lambda files: np.asarray(network(jnp.asarray(_read(files))), np.float64)


def _train(network: Any, images: Any, labels: Any) -> None:
    """Some steps on all images at a time."""
    import optax
    from flax import nnx

    optimizer = nnx.Optimizer(network, optax.adam(_LEARNING_RATE), wrt=nnx.Param)

    def loss(network: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(network(images), labels).mean()

    @nnx.jit
    def step(network: Any, optimizer: Any) -> None:
        optimizer.update(network, nnx.grad(loss)(network))

    for _ in range(_STEPS):
        step(network, optimizer)


def _read(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Images in [0, 1], (N, S, S, 3)."""
    size = (_SIDE_PX, _SIDE_PX)
    images = [
        Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR) for path in paths
    ]
    return np.stack([np.asarray(image, np.float32) / 255 for image in images])


def _convolutions(nnx: Any, rngs: Any) -> Any:
    """Two convolutions with batch normalisation, and the mean over space."""
    parts = [
        nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs),
        nnx.BatchNorm(16, use_running_average=True, rngs=rngs),
        nnx.relu,
        nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs),
        nnx.gelu,
        lambda maps: maps.mean(axis=(1, 2)),
        nnx.Linear(_FEATURES, len(CLASSES), rngs=rngs),
    ]
    return nnx.Sequential(*parts)


def _attention(nnx: Any, rngs: Any) -> Any:
    """Attention among patches, and the mean over them."""
    parts = [
        nnx.Conv(3, 32, (8, 8), strides=8, rngs=rngs),
        lambda maps: maps.reshape(maps.shape[0], -1, 32),
        nnx.LayerNorm(32, rngs=rngs),
        nnx.MultiHeadAttention(4, 32, 32, decode=False, rngs=rngs),
        lambda tokens: tokens.mean(axis=1),
        nnx.Linear(_FEATURES, len(CLASSES), rngs=rngs),
    ]
    return nnx.Sequential(*parts)


def _case(name: str, build: Any) -> Case:
    make = partial(_make, build=build)
    return Case(name, "JAX", make, "--pixels unit", features=_FEATURES)


CASES = (_case("nnx.Conv", _convolutions), _case("nnx.MultiHeadAttention", _attention))
