"""`edge-ood check`: the probe on this device."""

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from typer.testing import CliRunner

from edge_ood.cli.app import app


def test_the_machine_that_made_it_reproduces_it(colour_artifact: Path) -> None:
    """A table of heads, all ok, and one sentence."""
    result = CliRunner().invoke(app, ["check", str(colour_artifact)])

    lines = [line.split() for line in result.stdout.splitlines()]
    assert 0 == result.exit_code
    assert [["energy", "ok"], ["msp", "ok"], ["uniform_ce", "ok"]] == [
        [line[0], line[-1]] for line in lines[2:5]
    ]
    assert f"{colour_artifact}: reproduced on this device (cpu)" in result.stdout


def test_a_changed_weight_names_the_heads(colour_artifact: Path, tmp_path: Path) -> None:
    """Exit code 1, the differences in the table, and the command that helps."""
    path = Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == "classifier/weights"]
    changed = numpy_helper.to_array(tensor) * np.float32(1.02)
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, path)

    result = CliRunner().invoke(app, ["check", str(path)])

    assert 1 == result.exit_code
    assert ["off"] * 3 == [line.split()[-1] for line in result.stdout.splitlines()[2:5]]
    error, hint = result.stderr.splitlines()
    assert f"error: this device (cpu) does not reproduce '{path}': energy, msp, " in error
    assert f"hint: edge-ood calibrate {path} ID_IMAGES" in hint


def test_a_missing_gpu_is_an_error(colour_artifact: Path) -> None:
    """`--provider cuda` on a machine without one says so instead of checking the CPU."""
    result = CliRunner().invoke(app, ["check", str(colour_artifact), "--provider", "rocm"])

    assert 1 == result.exit_code
    assert "error: unknown provider 'rocm'\nhint: one of auto, cpu, cuda\n" == result.stderr
