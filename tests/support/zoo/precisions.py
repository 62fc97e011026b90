"""Networks of timm in other numbers: quantised by onnxruntime, halved by converters, float64."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.case import Case, Predict
from zoo.pictures import CLASSES, Pictures
from zoo.timm_networks import build
from zoo.torch_networks import Transform, export_traced

__all__ = ["CASES"]

_SIDE_PX = 64
_SMALL = "small"
"""Three convolutions, trained: rounding makes little of a network that was, and much of others."""

_EPOCHS, _BATCH = 12, 32
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

    network, transform = small(pictures) if name == _SMALL else build(name, pictures)
    export_traced(network.to(getattr(torch, dtype)), folder / "plain.onnx", _SIDE_PX)
    paths, _ = pictures.labelled()
    arrays = [_array([path], transform) for path in paths[::4]]
    convert(folder / "plain.onnx", folder / "classifier.onnx", arrays)
    return _by_onnxruntime(folder / "classifier.onnx", transform)


def small(pictures: Pictures) -> tuple[Any, Transform]:
    """A network of three convolutions, trained, and how it takes a picture."""
    import torch
    from torch import nn
    from torchvision.transforms._presets import ImageClassification

    torch.manual_seed(0)
    network = nn.Sequential(
        *_convolution(3, 16),
        *_convolution(16, 32),
        *_convolution(32, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, len(CLASSES)),
    )
    transform = ImageClassification(crop_size=_SIDE_PX, resize_size=_SIDE_PX)
    paths, labels = pictures.labelled()
    images, wanted = torch.from_numpy(_array(paths, transform)), torch.from_numpy(labels)
    steps = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(_EPOCHS):
        for part in torch.randperm(len(images)).split(_BATCH):
            steps.zero_grad()
            nn.functional.cross_entropy(network(images[part]), wanted[part]).backward()
            steps.step()
    return network.eval(), transform


def _convolution(planes: int, made: int) -> list[Any]:
    from torch import nn

    return [nn.Conv2d(planes, made, 3, 2, 1, bias=False), nn.BatchNorm2d(made), nn.ReLU()]


def _array(paths: Sequence[Path], transform: Transform) -> NDArray[np.float32]:
    planes = [transform(Image.open(path).convert("RGB")).numpy() for path in paths]
    return np.stack(planes)


def _by_onnxruntime(path: Path, transform: Transform) -> Predict:
    """What onnxruntime, for which the file was made, answers."""

    def predict(paths: Sequence[Path]) -> NDArray[np.float64]:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
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

    prepared = source.with_name("prepared.onnx")
    quantization.quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantization.quantize_dynamic(prepared, target, weight_type=quantization.QuantType.QUInt8)


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


def _case(
    name: str,
    what: str,
    convert: Any,
    pixels: str = "imagenet",
    refusal: str = "",
    **options: Any,
) -> Case:
    make = partial(_make, name=name, convert=convert, **options)
    features = 0 if refusal or convert is _dynamic else _FEATURES[name]
    rounds = isinstance(convert, partial) and convert.keywords.get("kind") == "QDQ"
    what = f"{name}, {what}"
    typed = f"--pixels {pixels}"
    if name == _VIT:
        typed += " --crop 0.9 --interpolation bicubic"
    return Case(what, "other precisions", make, typed, True, features, rounds, refusal)


_VIT = "vit_tiny_patch16_224"
_FEATURES = {_SMALL: 64, _VIT: 192}

_ONE_RUNTIME = (
    "... operator ... of domain 'com.microsoft' (node ...), expected ONNX's own operators"
)
_OF_THE_BATCH = "alone an image gets scores that differ by ... from those among others (...)"
_NO_FLOAT64 = "onnxruntime has no Conv for float64 (node ...)"

CASES = (
    _case(_SMALL, "static QDQ", partial(_static, kind="QDQ")),
    _case(_SMALL, "static QDQ by channel", partial(_static, kind="QDQ", per_channel=True)),
    _case(_SMALL, "static QOperator", partial(_static, kind="QOperator"), refusal=_ONE_RUNTIME),
    _case(
        _SMALL,
        "static QOperator, convolutions alone",
        partial(_static, kind="QOperator", op_types_to_quantize=["Conv"]),
    ),
    _case(_SMALL, "dynamic", _dynamic),
    _case(_VIT, "static QDQ", partial(_static, kind="QDQ"), "signed"),
    _case(_VIT, "dynamic", _dynamic, "signed", refusal=_OF_THE_BATCH),
    _case(_SMALL, "float16 by onnxconverter-common", partial(_by_converter, keep_io_types=False)),
    _case(_SMALL, "float16 inside", partial(_by_converter, keep_io_types=True)),
    _case(_SMALL, "float16 by onnxruntime", _by_onnxruntime_tools),
    _case(_SMALL, "float16 by PyTorch", _as_it_is, dtype="float16"),
    _case(_VIT, "float16 by PyTorch", _as_it_is, "signed", dtype="float16"),
    _case(_SMALL, "float64 by PyTorch", _as_it_is, refusal=_NO_FLOAT64, dtype="float64"),
)
