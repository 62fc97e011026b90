"""Networks of flax.nnx, exported by jax2onnx."""

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

_SIDE_PX, _FEATURES = 64, 32


def _make(folder: Path, pictures: Pictures, *, build: Any) -> Predict:
    import onnx
    from flax import nnx
    from jax import numpy as jnp
    from jax2onnx import to_onnx

    trunk, width = build(nnx, nnx.Rngs(0))
    paths, labels = pictures.labelled()
    linear = nnx.Linear(width, len(CLASSES), rngs=nnx.Rngs(1))
    weights, bias = fit_linear(np.asarray(trunk(jnp.asarray(_read(paths)))), labels)
    linear.kernel[...], linear.bias[...] = jnp.asarray(weights.T), jnp.asarray(bias)
    network = nnx.Sequential(trunk, linear)
    shape = ("B", _SIDE_PX, _SIDE_PX, 3)
    onnx.save(to_onnx(network, [shape]), folder / "classifier.onnx")
    return lambda files: np.asarray(network(jnp.asarray(_read(files))), np.float64)


def _read(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Images in [0, 1], (N, S, S, 3)."""
    size = (_SIDE_PX, _SIDE_PX)
    images = [
        Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR) for path in paths
    ]
    return np.stack([np.asarray(image, np.float32) / 255 for image in images])


def _convolutions(nnx: Any, rngs: Any) -> tuple[Any, int]:
    """Two convolutions with batch normalisation, and the mean over space."""
    parts = [
        nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs),
        nnx.BatchNorm(16, use_running_average=True, rngs=rngs),
        nnx.relu,
        nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs),
        nnx.gelu,
        lambda maps: maps.mean(axis=(1, 2)),
    ]
    return nnx.Sequential(*parts), 32


def _attention(nnx: Any, rngs: Any) -> tuple[Any, int]:
    """Attention among patches, and the mean over them."""
    parts = [
        nnx.Conv(3, 32, (8, 8), strides=8, rngs=rngs),
        lambda maps: maps.reshape(maps.shape[0], -1, 32),
        nnx.LayerNorm(32, rngs=rngs),
        nnx.MultiHeadAttention(4, 32, 32, decode=False, rngs=rngs),
        lambda tokens: tokens.mean(axis=1),
    ]
    return nnx.Sequential(*parts), 32


def _case(name: str, build: Any) -> Case:
    return Case(name, "JAX", partial(_make, build=build), "--pixels unit", features=_FEATURES)


CASES = (_case("nnx.Conv", _convolutions), _case("nnx.MultiHeadAttention", _attention))
