"""Artefact files: what is no artefact, or a damaged one, is refused in one line with a hint."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_ood.artifact.metadata import METADATA_KEY, Metadata, store_metadata
from edge_ood.errors import ArtifactError
from edge_ood.runtime.scorer import Scorer


@pytest.fixture(scope="module")
def metadata(colour_artifact: Path) -> Metadata:
    """The metadata of a real artefact."""
    return Scorer(colour_artifact).metadata


@pytest.fixture
def broken(tmp_path: Path, colour_artifact: Path) -> Path:
    """A copy of the artefact to be damaged."""
    return Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))


def assert_refused(path: Path, message: str) -> None:
    """Opening the file is an `ArtifactError` of one line that names it, with a hint."""
    with pytest.raises(ArtifactError, match=message) as raised:
        Scorer(path)

    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.hint


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, is no artefact."""
    assert_refused(tmp_path / "missing.onnx", "no file")
    assert_refused(tmp_path, "is a folder, expected an ONNX file")


@pytest.mark.parametrize("content", [b"", b"path,status\n", bytes(9), b"\x08\x07:\xff"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, text, zeros, noise."""
    path = tmp_path / "x.onnx"
    path.write_bytes(content)

    assert_refused(path, "not a valid ONNX model")


def test_a_truncated_file_is_refused(broken: Path) -> None:
    """Wherever it was cut off."""
    whole = broken.read_bytes()

    for length in range(1, len(whole), len(whole) // 50):
        broken.write_bytes(whole[:length])
        assert_refused(broken, "not a valid ONNX model")


def test_a_refusal_is_quiet(broken: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The error is raised and not logged to the terminal as well."""
    model = onnx.load(broken)
    model.graph.node[3].op_type = "NoSuchOperator"
    onnx.save(model, broken)

    assert_refused(broken, "not a valid ONNX model")

    assert ("", "") == capfd.readouterr()


def test_a_plain_model_is_not_ours(tmp_path: Path, colour_classifier: onnx.ModelProto) -> None:
    """Somebody else's network is refused with the way to make it ours."""
    path = tmp_path / "x.onnx"
    onnx.save(colour_classifier, path)

    assert_refused(path, "an ONNX file, but not an edge-ood artefact")


def test_metadata_outside_utf8_are_damage(broken: Path) -> None:
    """A stray byte in the document is found before anything is made of it."""
    whole = broken.read_bytes()
    broken.write_bytes(whole.replace(b'"primary"', b'"prim\xffry"'))

    assert_refused(broken, "metadata .* damaged")


def test_a_stray_byte_anywhere_is_no_crash(broken: Path) -> None:
    """The messages of onnxruntime quote damaged names in its messages as they are."""
    whole = broken.read_bytes()
    image = np.zeros((1, 16, 16, 3), np.uint8)

    for position in np.random.default_rng(0).integers(0, len(whole), 100):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        broken.write_bytes(damaged)
        with contextlib.suppress(ArtifactError):
            Scorer(broken, threads=1)(image)


def rename_tensor(model: onnx.ModelProto, old: str, new: str) -> None:
    """Let the node that makes a tensor call it something else."""
    node = next(n for n in model.graph.node if old in n.output)
    node.output[list(node.output).index(old)] = new


def rename_output(model: onnx.ModelProto) -> None:
    """Call an output something else."""
    rename_tensor(model, "msp_pvalue", "msp_p")
    next(o for o in model.graph.output if o.name == "msp_pvalue").name = "msp_p"


def drop_output(model: onnx.ModelProto) -> None:
    """Leave out the last output."""
    del model.graph.output[-1]


def swap_outputs(model: onnx.ModelProto) -> None:
    """Put two outputs in each other's place."""
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend([outputs[1], outputs[0], *outputs[2:]])


def add_input(model: onnx.ModelProto) -> None:
    """Want a second input."""
    value = helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1])
    model.graph.input.append(value)


def float_label(model: onnx.ModelProto) -> None:
    """Return the label as a number with a fraction."""
    argmax = next(n for n in model.graph.node if n.op_type == "ArgMax" and "label" in n.output)
    for node in model.graph.node:
        node.input[:] = ["whole" if name == "label" else name for name in node.input]
    argmax.output[0] = "whole"
    model.graph.node.append(helper.make_node("Cast", ["whole"], ["label"], to=TensorProto.FLOAT))
    label = next(o for o in model.graph.output if o.name == "label")
    label.type.tensor_type.elem_type = TensorProto.FLOAT


def matrix_score(model: onnx.ModelProto) -> None:
    """Return a score as a column instead of a vector."""
    rename_tensor(model, "msp_is_ood", "flat")
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "second"))
    model.graph.node.append(helper.make_node("Unsqueeze", ["flat", "second"], ["msp_is_ood"]))
    output = next(o for o in model.graph.output if o.name == "msp_is_ood")
    output.type.tensor_type.shape.dim.add(dim_value=1)


@pytest.mark.parametrize(
    "damage", [rename_output, drop_output, swap_outputs, add_input, float_label, matrix_score]
)
def test_a_graph_that_breaks_the_contract_is_refused(
    broken: Path, damage: Callable[[onnx.ModelProto], None]
) -> None:
    """Inputs and outputs are those that the metadata promise, in name, type, shape and order."""
    model = onnx.load(broken)
    damage(model)
    onnx.save(model, broken)

    assert_refused(broken, "has (inputs|outputs)")


def test_more_class_names_than_logits_are_refused(broken: Path, metadata: Metadata) -> None:
    """A label must never be looked up in another file's names."""
    model = onnx.load(broken)
    store_metadata(model, replace(metadata, classes=(*metadata.classes, "extra")))
    onnx.save(model, broken)

    assert_refused(broken, "has 3 logits for 4 class names")


def test_an_uncalibrated_file_is_refused(broken: Path, metadata: Metadata) -> None:
    """Without thresholds there is no decision, and the hint says how to get them."""
    model = onnx.load(broken)
    never = replace(metadata.calibration, n=0)
    store_metadata(model, replace(metadata, calibration=never))
    onnx.save(model, broken)

    assert_refused(broken, "was never calibrated")


def test_other_metadata_of_the_file_stay(broken: Path, metadata: Metadata) -> None:
    """Storing replaces our own document and nothing else."""
    model = onnx.load(broken)
    model.metadata_props.add(key="author", value="somebody")

    store_metadata(model, metadata)

    assert {"author", METADATA_KEY} == {p.key for p in model.metadata_props}
    assert 2 == len(model.metadata_props)
