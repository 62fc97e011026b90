"""YOLO classifiers of ultralytics, exported by ultralytics itself."""

import os
import shutil
from functools import partial
from pathlib import Path

from zoo.case import Case, Predict
from zoo.pictures import CLASSES, Pictures
from zoo.torch_networks import predictor, settle, teach

__all__ = ["CASES"]

_SIDE_PX = 64


def _make(folder: Path, pictures: Pictures, *, name: str, dynamic: bool) -> Predict:
    os.environ |= {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
    import torch
    from ultralytics import YOLO
    from ultralytics.data.augment import classify_transforms
    from ultralytics.nn.tasks import ClassificationModel

    torch.manual_seed(0)
    yolo = YOLO(f"{name}.yaml", task="classify")
    network = ClassificationModel(f"{name}.yaml", nc=len(CLASSES), verbose=False).eval()
    network.args, network.task = yolo.model.args, yolo.model.task
    network.names = dict(enumerate(CLASSES))
    network.pt_path = str(folder / "network.pt")
    transform = classify_transforms(_SIDE_PX)
    settle(network, pictures, transform)
    predict = predictor(network, transform)
    teach(network.model[-1].linear, pictures, predict)
    yolo.model = network
    made = yolo.export(format="onnx", imgsz=_SIDE_PX, dynamic=dynamic, simplify=False)
    shutil.move(made, folder / "classifier.onnx")
    return predict


def _case(name: str, options: str, *, dynamic: bool) -> Case:
    make = partial(_make, name=name, dynamic=dynamic)
    return Case(name, "ultralytics", make, options, features=1280)


CASES = (
    _case("yolov8n-cls", "", dynamic=False),
    _case("yolo11n-cls", f"--image-size {_SIDE_PX}", dynamic=True),
)
