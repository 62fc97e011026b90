"""Networks of timm in other numbers: quantised by onnxruntime, halved by converters, float64."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.case import Case, Predict
from zoo.pictures import Pictures
from zoo.timm_networks import build
from zoo.torch_networks import Transform, export

__all__ = ["CASES"]

_SIDE_PX = 64
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


def _make(
    folder: Path,
    pictures: Pictures,
    *,
    name: str,
    convert: Callable[[Path, Path, list[NDArray[np.float32]]], None],
    dtype: str = "float32",
) -> Predict:
    import torch

    network, transform = build(name, pictures)
    export(network.to(getattr(torch, dtype)), folder / "plain.onnx", _SIDE_PX, external_data=False)
    paths, _ = pictures.labelled()
    arrays = [_array([path], transform) for path in paths[::4]]
    convert(folder / "plain.onnx", folder / "classifier.onnx", arrays)
    return _by_onnxruntime(folder / "classifier.onnx", transform)


def _array(paths: Sequence[Path], transform: Transform) -> NDArray[np.float32]:
    planes = [transform(Image.open(path).convert("RGB")).numpy() for path in paths]
    return np.stack(planes)


def _by_onnxruntime(path: Path, transform: Transform) -> Predict:
    """What onnxruntime, for which the file was made, answers."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()

    def predict(paths: Sequence[Path]) -> NDArray[np.float64]:
        images = _array(paths, transform).astype(_DTYPES[entry.type])
        rows: NDArray[np.float64] = session.run(None, {entry.name: images})[0].astype(np.float64)
        return rows

    return predict


def _static(source: Path, target: Path, arrays: list[Any], *, kind: str, **options: Any) -> None:
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            name = onnx.load(source).graph.input[0].name
            self._rest = iter([{name: array} for array in arrays])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._rest, None)

    prepared = source.with_name("prepared.onnx")
    quantization.quant_pre_process(source, prepared, skip_symbolic_shape=True)
    chosen = quantization.QuantFormat[kind]
    weights = quantization.QuantType.QInt8
    quantization.quantize_static(
        prepared, target, Reader(), quant_format=chosen, weight_type=weights, **options
    )


def _dynamic(source: Path, target: Path, arrays: list[Any]) -> None:
    from onnxruntime import quantization

    quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QUInt8)


def _by_converter(source: Path, target: Path, arrays: list[Any], *, keep_io_types: bool) -> None:
    import onnx
    from onnxconverter_common import float16

    model = float16.convert_float_to_float16(onnx.load(source), keep_io_types=keep_io_types)
    onnx.save(model, target)


def _by_onnxruntime_tools(source: Path, target: Path, arrays: list[Any]) -> None:
    import onnx
    from onnxruntime.transformers import float16

    onnx.save(float16.convert_float_to_float16(onnx.load(source)), target)


def _as_it_is(source: Path, target: Path, arrays: list[Any]) -> None:
    source.rename(target)


def _case(name: str, what: str, convert: Any, **options: Any) -> Case:
    make = partial(_make, name=name, convert=convert, **options)
    return Case(f"{name}, {what}", "other precisions", make)


_CNN, _VIT = "resnet10t", "vit_tiny_patch16_224"

CASES = (
    _case(_CNN, "static QDQ", partial(_static, kind="QDQ")),
    _case(_CNN, "static QDQ by channel", partial(_static, kind="QDQ", per_channel=True)),
    _case(_CNN, "static QOperator", partial(_static, kind="QOperator")),
    _case(_CNN, "dynamic", _dynamic),
    _case(_VIT, "static QDQ", partial(_static, kind="QDQ")),
    _case(_VIT, "dynamic", _dynamic),
    _case(_CNN, "float16 by onnxconverter-common", partial(_by_converter, keep_io_types=False)),
    _case(_VIT, "float16 inside", partial(_by_converter, keep_io_types=True)),
    _case(_CNN, "float16 by onnxruntime", _by_onnxruntime_tools),
    _case(_CNN, "float16 by PyTorch", _as_it_is, dtype="float16"),
    _case(_CNN, "float64 by PyTorch", _as_it_is, dtype="float64"),
)
