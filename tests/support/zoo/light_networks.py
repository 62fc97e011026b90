"""The light models in the package of ONNX: networks of 2016 and 2017, in opset 9, one image a time.

Their weights are constants, as which they say the same of every image; here they are drawn.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

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
    model = onnx.load(models / f"light_{name}.onnx")
    _draw_weights(model)
    onnx.save(model, folder / "classifier.onnx")
    session = onnxruntime.InferenceSession(
        folder / "classifier.onnx", providers=["CPUExecutionProvider"]
    )
    entry = session.get_inputs()[0].name

    def predict(paths: Sequence[Path]) -> NDArray[np.float64]:
        rows = [session.run(None, {entry: _read(path)})[0].reshape(-1) for path in paths]
        return np.log(np.stack(rows).astype(np.float64))

    return predict


def _draw_weights(model: Any) -> None:
    """Put random weights in place of the nodes that fill matrices and kernels with a constant."""
    from onnx import helper, numpy_helper

    generator = np.random.default_rng(0)
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        shape = numpy_helper.to_array(known[node.input[0]])
        if len(shape) > 1:
            spread = np.sqrt(2 / np.prod(shape[1:]))
            drawn = generator.normal(0, spread, shape).astype(np.float32)
            value = numpy_helper.from_array(drawn)
            node.CopyFrom(helper.make_node("Constant", [], node.output, value=value))


def _read(path: Path) -> NDArray[np.float32]:
    size = (_SIDE_PX, _SIDE_PX)
    image = Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR)
    return (np.asarray(image, np.float32) / 255).transpose(2, 0, 1)[None]


def _case(name: str) -> Case:
    make = partial(_make, name=name)
    return Case(f"light_{name}", "ONNX", make, "--pixels unit", labelled=False)


CASES = tuple(map(_case, ("shufflenet", "squeezenet")))
