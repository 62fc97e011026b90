"""Image classifiers of Hugging Face's transformers, built from a configuration."""

from functools import partial
from pathlib import Path
from typing import Any

from zoo.case import Case, Predict
from zoo.pictures import CLASSES, Pictures
from zoo.torch_networks import export, predictor, settle, teach

__all__ = ["CASES"]

_SIDE_PX = 64
_TRANSFORMER = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "image_size": _SIDE_PX,
}
_STAGES = {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1]}


def _make(
    folder: Path, pictures: Pictures, *, family: str, linear: str, settings: dict[str, Any]
) -> Predict:
    import torch
    import transformers

    torch.manual_seed(0)
    configuration = getattr(transformers, f"{family}Config")
    build = getattr(transformers, f"{family}ForImageClassification")
    network = build(configuration(num_labels=len(CLASSES), **settings)).eval()
    processor = transformers.ViTImageProcessorPil(size={"height": _SIDE_PX, "width": _SIDE_PX})

    def transform(image: Any) -> Any:
        return processor(image, return_tensors="pt")["pixel_values"][0]

    settle(network, pictures, transform)
    predict = predictor(network, transform)
    teach(network.get_submodule(linear), pictures, predict)
    export(network, folder / "classifier.onnx", _SIDE_PX)
    return predict


def _case(family: str, linear: str, features: int, **settings: Any) -> Case:
    make = partial(_make, family=family, linear=linear, settings=settings)
    options = "--pixels signed --resize stretch"
    return Case(
        f"{family}ForImageClassification",
        "Hugging Face",
        make,
        options,
        features=features,
    )


CASES = (
    _case("ViT", "classifier", 64, **_TRANSFORMER),
    _case("DeiT", "classifier", 64, **_TRANSFORMER),
    _case("Beit", "classifier", 64, **_TRANSFORMER),
    _case("ResNet", "classifier.1", 128, embedding_size=16, **_STAGES),
    _case("ConvNext", "classifier", 128, **_STAGES),
)
