"""Classifiers of scikit-learn on pixels in a row, exported by skl2onnx."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.case import LOGIT_HEADS, Case, Predict
from zoo.pictures import CLASSES, Pictures

__all__ = ["CASES"]

_SIDE_PX = 64
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
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=30, tol=0.1)


def _network() -> Any:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=40, random_state=0))


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(10, random_state=0)


def _case(name: str, build: Any, heads: tuple[str, ...], refusal: str = "", **options: Any) -> Case:
    make = partial(_make, build=build, **options)
    return Case(name, "scikit-learn", make, "--resize stretch", heads, refusal)


CASES = (
    _case(
        "LogisticRegression",
        _logistic,
        LOGIT_HEADS,
        black_op=_OF_ONNX_ML,
        options={"zipmap": False},
    ),
    _case("LogisticRegression, ZipMap", _logistic, LOGIT_HEADS, black_op=_OF_ONNX_ML),
    _case("MLPClassifier", _network, LOGIT_HEADS, black_op=_OF_ONNX_ML),
    _case("LogisticRegression in ai.onnx.ml", _logistic, (), options={"zipmap": False}),
    _case("RandomForestClassifier", _forest, (), options={"zipmap": False}),
    _case("MLPClassifier of rows", _network, (), takes_images=False, black_op=_OF_ONNX_ML),
)
