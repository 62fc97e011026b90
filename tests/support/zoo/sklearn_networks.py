"""Classifiers of scikit-learn on pixels in a row, exported by skl2onnx."""

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

_SIDE_PX = 64
_COMPONENTS, _HIDDEN = 16, 24
_OF_ONNX_ML = {"LinearClassifier", "Normalizer", "Scaler"}
"""Operators that skl2onnx can write in ONNX's own."""


def _make(
    folder: Path,
    pictures: Pictures,
    *,
    build: Any,
    takes_images: bool = True,
    **options: Any,
) -> Predict:
    import onnx
    from skl2onnx import to_onnx

    paths, labels = pictures.labelled()
    rows = _read(paths)
    model = build().fit(rows, np.array(CLASSES)[labels])
    file = to_onnx(model, rows[:1], target_opset=18, **options)
    onnx.save(_with_images(file) if takes_images else file, folder / "classifier.onnx")

    def predict(files: Sequence[Path]) -> NDArray[np.float64]:
        shares: NDArray[np.float64] = model.predict_proba(_read(files))
        return np.log(shares + 1e-30)

    return predict


def _read(paths: Sequence[Path]) -> NDArray[np.float32]:
    size = (_SIDE_PX, _SIDE_PX)
    images = [
        Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR) for path in paths
    ]
    return np.stack([np.asarray(image, np.float32).ravel() / 255 for image in images])


def _with_images(file: Any) -> Any:
    """The same behind a node that puts the pixels of an image in a row."""
    from onnx import TensorProto, compose, helper

    (rows,) = file.graph.input
    shape = ["N", _SIDE_PX, _SIDE_PX, 3]
    front = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["flat"])],
        "front",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["N", 3 * _SIDE_PX**2])],
    )
    model = helper.make_model(front, opset_imports=file.opset_import, ir_version=file.ir_version)
    return compose.merge_models(model, file, [("flat", rows.name)])


def _logistic() -> Any:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(PCA(_COMPONENTS, random_state=0), LogisticRegression())


def _network() -> Any:
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    reduced = (PCA(_COMPONENTS, random_state=0), StandardScaler())
    return make_pipeline(*reduced, MLPClassifier((_HIDDEN,), max_iter=200, random_state=0))


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(10, random_state=0)


def _case(name: str, build: Any, features: int = 0, refusal: str = "", **options: Any) -> Case:
    make = partial(_make, build=build, **options)
    return Case(
        name,
        "scikit-learn",
        make,
        "--pixels unit --resize stretch",
        features=features,
        refusal=refusal,
    )


_NO_ZIPMAP = {"zipmap": False}
_NOT_ONNX = "... operator ... of domain 'ai.onnx.ml' (node ...), expected ONNX's own operators"
_NO_IMAGES = "input 'X' is float32 (?, 12288), expected images (N, 3, S, S) or (N, S, S, 3)"

CASES = (
    _case("LogisticRegression", _logistic, _COMPONENTS, black_op=_OF_ONNX_ML, options=_NO_ZIPMAP),
    _case("LogisticRegression, ZipMap", _logistic, _COMPONENTS, black_op=_OF_ONNX_ML),
    _case("MLPClassifier", _network, _HIDDEN, black_op=_OF_ONNX_ML, options=_NO_ZIPMAP),
    _case("LogisticRegression, ai.onnx.ml", _logistic, refusal=_NOT_ONNX, options=_NO_ZIPMAP),
    _case("RandomForestClassifier", _forest, refusal=_NOT_ONNX, options=_NO_ZIPMAP),
    _case(
        "MLPClassifier of rows",
        _network,
        refusal=_NO_IMAGES,
        takes_images=False,
        black_op=_OF_ONNX_ML,
        options=_NO_ZIPMAP,
    ),
)
