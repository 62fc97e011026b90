"""Artefacts and folders to score, one of them an artefact that says what it sees."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge_ood.artifact.calibration_record import Calibration, Probe
from edge_ood.artifact.metadata import HeadRecord, Metadata, store_metadata
from edge_ood.graph.assemble import assemble
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import bind_parameters
from edge_ood.report import export_page, training_page
from edge_ood.runtime.calibrate import calibrate_artifact
from edge_ood.scores import HEADS, BoundHead


@pytest.fixture(autouse=True)
def _quick_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have tests of their own in `tests/report`, and figures take long."""
    monkeypatch.setattr(training_page, "training_page", lambda path: f"of {path}")
    monkeypatch.setattr(export_page, "export_page", lambda path: f"of {path}")


@pytest.fixture
def artefact(colour_artifact: Path) -> str:
    """The artefact's path as an argument."""
    return str(colour_artifact)


@pytest.fixture
def folder(tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `images`: 22 of colours, a grey one and one that is none."""
    images = tmp_path / "images"
    images.mkdir()
    for index, path in enumerate(sorted((colours / "calibration").rglob("*.png"))[::2][:22]):
        shutil.copy(path, images / f"{index:02}\n'.png")
    Image.new("RGB", (16, 16), (9, 9, 9)).save(images / "grey.png")
    (images / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return images


@pytest.fixture(scope="session")
def make_reader() -> Callable[[Mapping[str, NDArray[np.uint8]], Path], None]:
    """Writes an artefact whose classes are pictures of 2 x 2 pixels: the nearest one wins."""
    return _write_reader


def _write_reader(pictures: Mapping[str, NDArray[np.uint8]], path: Path) -> None:
    preprocess = Preprocess(2, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    head = HEADS.get("energy")
    bound = BoundHead(head, bind_parameters(head.score, {}, owner="energy"))
    model = assemble(_nearest(list(pictures.values())), preprocess, [bound], primary="energy")
    metadata = Metadata(
        classes=tuple(pictures),
        preprocess=preprocess,
        heads=(HeadRecord("energy", bound.parameters),),
        primary="energy",
        calibration=Calibration(0.05, 0, {"energy": 0.0}, ""),
        manifests={},
        probe=Probe(seed=0),
    )
    store_metadata(model, metadata)
    onnx.save(model, path)
    images = [path.with_name(f"{level}.png") for level in range(19)]
    for level, image in enumerate(images):
        Image.new("L", (2, 2), level).save(image)
    calibrate_artifact(path, images, provider="cpu")


def _nearest(pictures: list[NDArray[np.uint8]]) -> onnx.ModelProto:
    """Logits that are largest for the picture at the smallest Euclidean distance."""
    known = np.stack(pictures).transpose(0, 3, 1, 2).reshape(len(pictures), -1) / 255
    arrays = {"weights": 2 * known.T, "bias": -np.square(known).sum(axis=1)}
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["input"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
        ],
        "reader",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(pictures)])],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
