"""What a classifier is held against that has no exact values, sums far or gives no numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge_ood.attachment.attached import Attached
from edge_ood.attachment.listener import Listener
from edge_ood.attachment.request import Options
from edge_ood.foreign.attach_foreign import attach_foreign
from edge_ood.foreign.conventions import ForeignClassifier
from edge_ood.foreign.id_images import IdFolders
from edge_ood.images.folders import read_class_folders
from edge_ood.registry import parse_specs
from edge_ood.runtime.scorer import Scorer

HEADS = "energy,msp"
SIZE = 16
WEIGHTS = 20 * np.eye(3)[:, [1, 0, 2]]


def classifier(
    path: Path, side: int, *, front: list[onnx.NodeProto] | None = None, opset: int = 18
) -> Path:
    """A classifier by mean colour of the image, or of what `front` makes of "x" under "maps"."""
    arrays = {
        "weights": WEIGHTS,
        "bias": np.zeros(3),
        "filters": np.eye(3)[:, :, None, None],
        "step": np.array(1 / 64),
    }
    weights = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()]
    weights.append(numpy_helper.from_array(np.array(0, np.uint8), "zero"))
    nodes = [
        *(front or [helper.make_node("Conv", ["x", "filters"], ["maps"])]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def rounding() -> list[onnx.NodeProto]:
    """Maps on a few levels, as onnxruntime.quantization writes it, and a convolution of them."""
    return [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["coarse"]),
        helper.make_node("Conv", ["coarse", "filters"], ["maps"]),
    ]


def standardising() -> list[onnx.NodeProto]:
    """Each image divided by its own deviation, which blank ones do not have."""
    return [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3]),
        helper.make_node("Sub", ["x", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["variance"], axes=[1, 2, 3]),
        helper.make_node("Sqrt", ["variance"], ["deviation"]),
        helper.make_node("Div", ["centred", "deviation"], ["maps"]),
    ]


def attached(path: Path, folders: IdFolders, output: Path) -> tuple[Attached, list[str]]:
    """The artefact, and what the user was told."""
    notes: list[str] = []
    options = Options(parse_specs(HEADS), provider="cpu")
    listener = Listener(on_note=notes.append)
    source = ForeignClassifier(path, pixels="unit")
    return attach_foreign(source, folders, output, options, listener=listener), notes


def limits(made: Attached) -> dict[str, float]:
    """What each output was allowed."""
    return {difference.output: difference.allowed for difference in made.parity.differences}


@pytest.fixture
def folders(colours: Path) -> IdFolders:
    """Training and calibration images in class folders."""
    return IdFolders(colours / "calibration", colours / "train")


@pytest.mark.parametrize("opset", [13, 18])
def test_a_quantised_classifier_is_held_against_its_own_run(
    opset: int, colours: Path, folders: IdFolders, tmp_path: Path
) -> None:
    """Its scores are as exact as any; what it is compared with is said twice."""
    path = classifier(tmp_path / "q.onnx", SIZE, front=rounding(), opset=opset)

    made, notes = attached(path, folders, tmp_path / "x.onnx")

    assert "onnxruntime" == made.parity.reference
    assert any("rounds to integers inside (QuantizeLinear)" in note for note in notes)
    found = Scorer(made.path, provider="cpu").score_files(
        list(read_class_folders(colours / "test").paths)
    )
    energy = -np.log(np.exp(found.logits.astype(np.float64)).sum(axis=1))
    np.testing.assert_allclose(found.scores["energy"], energy, rtol=1e-6)
    assert limits(made)["energy"] < 1e-3 * energy.std()
    assert 0 < limits(made)["logits"] < 0.2 * found.logits.std()


def colour_folders(folder: Path, side: int) -> IdFolders:
    """Noise of three colours."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("known", 20)):
        for channel, name in enumerate(("blue", "green", "red")):
            place = folder / part / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 110, (side, side, 3))
                pixels[..., [1, 0, 2][channel]] += generator.integers(20, 140)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number}.png")
    return IdFolders(folder / "known", folder / "train")


def test_a_mean_over_many_positions_is_no_fault(tmp_path: Path) -> None:
    """Onnxruntime adds 16,384 numbers in a row; what that costs is allowed, and hardly more."""
    side = 128
    path = classifier(tmp_path / "pooling.onnx", side)

    made, _ = attached(path, colour_folders(tmp_path, side), tmp_path / "x.onnx")

    assert "onnx.reference" == made.parity.reference
    worst = {difference.output: difference.error for difference in made.parity.differences}
    assert worst["energy"] < limits(made)["energy"] < 5e-3


def test_no_number_on_both_sides_is_agreement(folders: IdFolders, tmp_path: Path) -> None:
    """Black and white have no deviation: the artefact is made, and says so."""
    path = classifier(tmp_path / "blank.onnx", SIZE, front=standardising(), opset=17)

    made, _ = attached(path, folders, tmp_path / "x.onnx")

    (note,) = [warning for warning in made.warnings if "finite" in warning]
    assert note.startswith("for black, white the classifier gives what is no finite number")
    report: dict[str, Any] = json.loads((tmp_path / "x.parity.json").read_text("utf-8"))
    assert {"output": "energy", "image": "black"} in report["not_finite"]
    assert {"black", "white"} == {case["image"] for case in report["not_finite"]}


def test_bytes_are_what_they_were(folders: IdFolders, tmp_path: Path) -> None:
    """An input of type uint8 gets the nearest number, so that its reference is exact."""
    path = classifier(tmp_path / "bytes.onnx", SIZE)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node[0].input[0] = "pixels"
    model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["pixels"], to=TensorProto.FLOAT))
    weights = next(t for t in model.graph.initializer if t.name == "weights")
    weights.CopyFrom(numpy_helper.from_array((WEIGHTS / 255).astype(np.float32), "weights"))
    onnx.save(model, path)
    options = Options(parse_specs(HEADS), provider="cpu")

    made = attach_foreign(ForeignClassifier(path), folders, tmp_path / "x.onnx", options)

    assert limits(made)["energy"] < 1e-3
