"""A model repository for Triton: what the server is told is what the file has."""

import re
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.runtime.scorer import Scorer


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_the_configuration_has_the_files_tensors(colour_artifact: Path, tmp_path: Path) -> None:
    """Names and types from the graph as onnx reads it; axes without the batch; one number each."""
    result = run("export", colour_artifact, "--for", "triton", tmp_path / "repository")

    assert 0 == result.exit_code, result.output
    folder = tmp_path / "repository" / "colours"
    config = (folder / "config.pbtxt").read_text("utf-8")
    graph = onnx.load(colour_artifact).graph
    types = {
        "TYPE_UINT8": "UINT8",
        "TYPE_INT64": "INT64",
        "TYPE_BOOL": "BOOL",
        "TYPE_FP32": "FLOAT",
    }
    for role, values in (("input", graph.input), ("output", graph.output)):
        said = re.findall(
            rf'^{role} {{ name: "(.+?)" data_type: (\w+) dims: \[ (.+?) \]', config, re.M
        )
        assert [value.name for value in values] == [name for name, _, _ in said]
        for value, (_, kind, dims) in zip(values, said, strict=True):
            tensor = value.type.tensor_type
            assert onnx.TensorProto.DataType.Name(tensor.elem_type) == types[kind]
            sides = [side.dim_value or -1 for side in tensor.shape.dim][1:]
            assert dims == ", ".join(map(str, sides or [1]))
    assert config.count("reshape { shape: [ ] }") == sum(
        len(value.type.tensor_type.shape.dim) == 1 for value in graph.output
    )
    assert "max_batch_size: 8" in config
    assert "dynamic_batching {" in config
    assert (folder / "1" / "model.onnx").read_bytes() == colour_artifact.read_bytes()
    classes = Scorer(colour_artifact).metadata.classes
    assert list(classes) == (folder / "labels.txt").read_text("utf-8").splitlines()


def test_a_model_that_is_there_stays(colour_artifact: Path, tmp_path: Path) -> None:
    """But for --force; other models of the repository are not touched."""
    (tmp_path / "other").mkdir()
    made = ["export", colour_artifact, "--for", "triton", tmp_path]
    run(*made)

    again, forced = run(*made), run(*made, "--force")

    assert 1 == again.exit_code
    assert "exists" in again.stderr
    assert 0 == forced.exit_code, forced.output
    assert {"other", "colours"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--for", "docker", "x"), "'triton' is all there is"),
        (("--for", "triton"), "go together"),
        (("x",), "go together"),
    ],
)
def test_what_is_no_target_is_refused(
    colour_artifact: Path, arguments: tuple[str, ...], message: str
) -> None:
    """By one line."""
    result = run("export", colour_artifact, *arguments)

    assert 2 == result.exit_code
    assert message in result.stderr
