"""Shared fixtures: real images, one small trained run and its artefact, made once a session."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from digit_images import write_images
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from edge_ood.artifact.calibration_record import Calibration, Probe
from edge_ood.artifact.metadata import HeadRecord, Metadata, store_metadata
from edge_ood.artifact.packed import Manifest
from edge_ood.graph.assemble import assemble
from edge_ood.images.folders import read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash
from edge_ood.registry import bind_parameters
from edge_ood.report import figure
from edge_ood.runtime.calibrate import calibrate_artifact
from edge_ood.scores import HEADS, BoundHead

# The probe remembers devices in the user's cache; tests must not write there, even as root.
os.environ["XDG_CACHE_HOME"] = "/dev/null/no-folder"
# As the library does, but for tests that import onnxruntime themselves.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Threads that spin while they wait are many times slower on cores that other tests use too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


DRAWN_SVG = figure._drawn_svg
BLANK_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is none; draw figures only where they are under test.

    Commands leave pages, and drawing their figures would take longer than what most tests are
    about. `tests/report` has the figures, and the pages of every command.
    """
    is_drawn = item.path.parent.name == "report"
    figure._drawn_svg = DRAWN_SVG if is_drawn else lambda _: BLANK_SVG
    if item.get_closest_marker("gpu") and not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("there is no CUDA device")


@pytest.fixture(scope="session")
def digit_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Image folders of digits: train, outliers, test, near, far, mixed."""
    folder = tmp_path_factory.mktemp("images")
    write_images(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 px noise: dark and bright classes in `train`, `validation`, `calibration`; `outliers`."""
    folder = tmp_path_factory.mktemp("tiny")
    generator = np.random.default_rng(0)
    for name, count, level in (
        ("train/dark", 24, 0),
        ("train/bright", 24, 180),
        ("validation/dark", 4, 0),
        ("validation/bright", 6, 180),
        ("calibration/dark", 10, 0),
        ("calibration/bright", 10, 180),
        ("outliers", 12, 90),
    ):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(level, level + 75, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:02d}.png")
    return folder


@pytest.fixture(scope="session")
def image_folder(digit_folders: Path) -> Path:
    """Held-out images of the artefact's classes, in class folders."""
    return digit_folders / "test"


@pytest.fixture(scope="session")
def traced_once() -> Iterator[None]:
    """Equal classifiers, down to their weights, are traced once: most exports are of one run.

    Only networks of known classes are equal if they look it; a module of somebody's own may differ
    in code alone.
    """
    pytest.importorskip("torch")
    from edge_ood.torch_export import export

    trace, traced = export.export_classifier, {}

    def once(classifier: Any, size_px: int) -> ModelProto:
        kinds = {type(module).__module__.partition(".")[0] for module in classifier.modules()}
        if not kinds <= {"edge_ood", "torch"}:
            return trace(classifier, size_px)
        digest = hashlib.sha256()
        for name, tensor in classifier.state_dict().items():
            digest.update(name.encode() + tensor.numpy().tobytes())
        key = (digest.digest(), repr(classifier), getattr(classifier, "layers", ()), size_px)
        if key not in traced:
            traced[key] = trace(classifier, size_px).SerializeToString()
        return onnx.load_from_string(traced[key])

    export.export_classifier = once
    yield
    export.export_classifier = trace


@pytest.fixture(scope="session")
def run_path(
    traced_once: None, digit_folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run: a small two-head network, Outlier Exposure, digits 0 to 7 at 8 px."""
    from edge_ood.images.preprocess import Preprocess
    from edge_ood.registry import Spec
    from edge_ood.training.settings import Settings
    from edge_ood.training.train import Launch, train
    from edge_ood.training.training_set import Folders

    output = tmp_path_factory.mktemp("runs") / "digits"
    settings = Settings(
        model=Spec("wrn-10-1", {"dropout": 0.0}),
        objective=Spec("outlier-exposure"),
        heads=2,
        augmentation=("crop",),
        epochs=3,
        batch_size=64,
        outlier_batch_size=64,
    )
    folders = Folders(training=digit_folders / "train", outliers=digit_folders / "outliers")
    train(folders, settings, Preprocess(8), output, launch=Launch(device="cpu"))
    return output


@pytest.fixture(scope="session")
def artifact_path(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported run with every closed-form head. Read only: copy it before changing it."""
    from edge_ood.attachment.request import Options
    from edge_ood.torch_export.export import export_run

    output = tmp_path_factory.mktemp("exported") / "digits.onnx"
    export_run(run_path, output, Options(provider="cpu"))
    return output


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 px noise, tinted by class, in `train`, `calibration` and `test`; class names are odd."""
    folder = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    for name, count in (("train", 20), ("calibration", 20), ("test", 6)):
        for channel, colour in ((1, "=green"), (0, "red apple"), (2, "蓝\u2215blue")):
            (folder / name / colour).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 60, (16, 16, 3), np.uint8)
                pixels[..., channel] += generator.integers(140, 190, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name / colour / f"{index:02d}.png")
    return folder


@pytest.fixture(scope="session")
def colour_classifier() -> ModelProto:
    """A hand-made network for `colours`, at 16 px: a convolution, a pooling, a linear layer."""
    generator = np.random.default_rng(1)
    weights = generator.normal(0, 0.05, (6, 3, 3, 3))
    weights[:, :, 1, 1] += np.concatenate([np.eye(3), -np.eye(3)])
    linear = np.concatenate([4 * np.eye(3)[:, [1, 0, 2]], np.eye(3)]) - 0.5
    arrays = {"weights": weights, "linear": linear}
    initializers = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "weights"], ["maps"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["maps"], ["active"]),
            helper.make_node("ReduceMean", ["active", "sides"], ["features/pool"], keepdims=0),
            helper.make_node("MatMul", ["features/pool", "linear"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("features/pool", TensorProto.FLOAT, ["N", 6]),
        ],
        [*initializers, numpy_helper.from_array(np.array([2, 3]), "sides")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.fixture(scope="session")
def colour_artifact(
    colours: Path, colour_classifier: ModelProto, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An artefact made without torch in a moment. Read only: copy it before changing it."""
    preprocess = Preprocess(16)
    training = read_class_folders(colours / "train")
    heads = [
        BoundHead(head, bind_parameters(head.score, {}, owner=name))
        for name in ("energy", "msp", "uniform_ce")
        for head in [HEADS.get(name)]
    ]
    model = assemble(colour_classifier, preprocess, heads, primary="energy")
    metadata = Metadata(
        classes=training.classes,
        preprocess=preprocess,
        heads=tuple(HeadRecord(head.name, head.parameters) for head in heads),
        primary="energy",
        calibration=Calibration(0.05, 0, {head.name: 0.0 for head in heads}, ""),
        manifests={"training": Manifest.of([content_hash(p.read_bytes()) for p in training.paths])},
        probe=Probe(seed=0),
        version="0.1.0",
    )
    path = tmp_path_factory.mktemp("exported") / "colours.onnx"
    store_metadata(model, metadata)
    onnx.save(model, path)
    images = read_class_folders(colours / "calibration").paths
    calibrate_artifact(path, images, provider="cpu")
    return path


@pytest.fixture(scope="session")
def foreign_network() -> Callable[..., ModelProto]:
    """Builds networks for `colours` as other tools would: `mean over space @ weights + bias`."""
    return _foreign_network


def _foreign_network(
    *,
    ending: str = "logits",
    layout: str = "nchw",
    batch: int | str = "N",
    opset: int = 18,
    weights: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    elem_type: int = TensorProto.FLOAT,
) -> ModelProto:
    """See `foreign_network`; without weights its classes are green, red and blue, in this order."""
    matrix = 8 * np.eye(3)[:, [1, 0, 2]] if weights is None else weights
    dtype = helper.tensor_dtype_to_np_dtype(elem_type)
    offset = np.zeros(matrix.shape[1]) if bias is None else bias
    rows = batch if isinstance(batch, int) else -1
    arrays = {
        "weights": matrix.astype(dtype),
        "kernel": matrix.T[:, :, None, None].astype(dtype),
        "bias": offset.astype(dtype),
        "e": np.array(np.e, dtype),
        "rows": np.array([rows, len(matrix)]),
    }
    planar = [batch, len(matrix), 16, 16]
    shape = planar if layout == "nchw" else [batch, 16, 16, len(matrix)]
    pooled = [helper.make_node("GlobalAveragePool", ["planes"], ["pooled"])]
    if ending == "conv":
        head = [helper.make_node("Conv", ["pooled", "kernel"], ["maps"])]
        head += [helper.make_node("Flatten", ["maps"], ["scores"])]
    else:
        head = [
            helper.make_node("Reshape", ["pooled", "rows"], ["features"]),
            helper.make_node("MatMul", ["features", "weights"], ["product"], name="dense"),
            helper.make_node("Add", ["product", "bias"], ["scores"]),
        ]
    endings = {
        "softmax": [helper.make_node("Softmax", ["scores"], ["output"], axis=1)],
        "log_softmax": [helper.make_node("LogSoftmax", ["scores"], ["output"], axis=1)],
        "sigmoid": [helper.make_node("Sigmoid", ["scores"], ["output"])],
        "probabilities": [
            helper.make_node("Pow", ["e", "scores"], ["powers"]),  # which nobody looks for
            helper.make_node("ReduceSum", ["powers"], ["total"], keepdims=1),
            helper.make_node("Div", ["powers", "total"], ["output"]),
        ],
    }
    last = endings.get(ending, [helper.make_node("Identity", ["scores"], ["output"])])
    if ending == "probabilities":  # over classes, not over everything
        arrays["classes"] = np.array([1])
        last[1].input.append("classes")
    first = (
        helper.make_node("Identity", ["image"], ["planes"])
        if layout == "nchw"
        else helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2])
    )
    nodes = [first, *pooled, *head, *last]
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("image", elem_type, shape)],
        [helper.make_tensor_value_info("output", elem_type, [batch, matrix.shape[1]])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items() if name in read],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
