"""The light models in the package of ONNX: networks of 2012 to 2017 with constant weights."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.case import Case, Predict
from zoo.pictures import Pictures

__all__ = ["CASES"]

_SIDE_PX = 224


def _make(folder: Path, pictures: Pictures, *, name: str) -> Predict:
    import onnx
    import onnxruntime

    models = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    shutil.copy(models / f"light_{name}.onnx", folder / "classifier.onnx")
    session = onnxruntime.InferenceSession(
        models / f"light_{name}.onnx", providers=["CPUExecutionProvider"]
    )
    entry = session.get_inputs()[0].name

    def predict(paths: Sequence[Path]) -> NDArray[np.float64]:
        rows = [session.run(None, {entry: _read(path)})[0].reshape(-1) for path in paths]
        return np.stack(rows).astype(np.float64)

    return predict


def _read(path: Path) -> NDArray[np.float32]:
    size = (_SIDE_PX, _SIDE_PX)
    image = Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32).transpose(2, 0, 1)[None]


def _case(name: str) -> Case:
    make = partial(_make, name=name)
    return Case(f"light_{name}", "ONNX", make, "--pixels byte", labelled=False)


CASES = tuple(map(_case, ("shufflenet", "squeezenet")))
