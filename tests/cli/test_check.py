"""`edge-ood check`: the probe on this device."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner, Result

from edge_ood.artifact.device import Device
from edge_ood.artifact.metadata import store_metadata
from edge_ood.cli.app import app
from edge_ood.runtime.scorer import Scorer

COUNTED = ("label", "p-values", "decisions")
ELSEWHERE = Device("Cortex-A72", "aarch64", ("asimd",), "1.17.0", "cpu")


def check(path: Path) -> Result:
    """Run `edge-ood check` in this process."""
    return CliRunner().invoke(app, ["check", str(path)])


def recorded_elsewhere(
    source: Path, target: Path, device: Device, *, int8_target: str = "", shift: float = 0.0
) -> Path:
    """A copy that says its probe is another device's, whose energies were higher by `shift`."""
    model = onnx.load(source)
    metadata = Scorer(source).metadata
    energies = [score + shift for score in metadata.probe.scores["energy"]]
    scores = {**metadata.probe.scores, "energy": energies}
    probe = replace(metadata.probe, scores=scores, device=device)
    converted = {"precision": "int8", "provenance": {"int8_target": int8_target}}
    changed = converted if int8_target else {}
    store_metadata(model, replace(metadata, probe=probe, **changed))
    onnx.save(model, target)
    return target


def test_the_machine_that_made_it_reproduces_it(colour_artifact: Path) -> None:
    """Where it was recorded, a table of outputs, all ok, and one sentence."""
    result = check(colour_artifact)

    devices, table, sentence = result.stdout.split("\n\n")
    lines = [line.split() for line in table.splitlines()]
    assert 0 == result.exit_code
    assert ["precision    fp32", "this device  the same"] == devices.splitlines()[::2]
    assert [[name, "ok"] for name in ("energy", "msp", "uniform_ce", *COUNTED)] == [
        [line[0], line[-1]] for line in lines[2:]
    ]
    assert f"{colour_artifact}: reproduced on this device (cpu)\n" == sentence


def test_a_changed_weight_names_the_heads(colour_artifact: Path, tmp_path: Path) -> None:
    """Exit code 1 and the differences; a file that was recorded here was changed since."""
    path = Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == "classifier/weights"]
    changed = numpy_helper.to_array(tensor) * np.float32(1.02)
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, path)

    result = check(path)

    assert 1 == result.exit_code
    table = result.stdout.split("\n\n")[1].splitlines()
    assert ["off"] * 3 == [line.split()[-1] for line in table[2:5]]
    error, hint = result.stderr.splitlines()
    assert f"does not reproduce energy, msp, uniform_ce of '{path}': " in error
    assert "recorded on this device, so the file has changed since" in error
    assert "hint: restore the file, or export it again" == hint


def test_another_device_that_agrees_passes(colour_artifact: Path, tmp_path: Path) -> None:
    """Both devices are shown, and what only one of them has."""
    path = recorded_elsewhere(colour_artifact, tmp_path / "x.onnx", ELSEWHERE)

    result = check(path)

    assert 0 == result.exit_code
    assert "recorded on  Cortex-A72 (aarch64), onnxruntime 1.17.0 on cpu\n" in result.stdout
    assert "this device  the same" not in result.stdout
    assert "only there   asimd\n" in result.stdout


def test_another_device_that_is_off_names_both(colour_artifact: Path, tmp_path: Path) -> None:
    """Which device recorded it, which this is, and the command for thresholds that hold."""
    path = recorded_elsewhere(colour_artifact, tmp_path / "x.onnx", ELSEWHERE, shift=1.0)

    result = check(path)

    assert 1 == result.exit_code
    error, hint = result.stderr.splitlines()
    assert f"error: this device does not reproduce energy of '{path}': " in error
    assert "were recorded on Cortex-A72 (aarch64), onnxruntime 1.17.0 on cpu, this is " in error
    assert f"hint: edge-ood calibrate {path} ID_IMAGES sets thresholds that hold here" == hint


def test_a_file_of_an_earlier_version_is_checked(colour_artifact: Path, tmp_path: Path) -> None:
    """It does not say where it was recorded."""
    path = recorded_elsewhere(colour_artifact, tmp_path / "x.onnx", Device())

    result = check(path)

    assert 0 == result.exit_code
    assert "recorded on  an unknown device\n" in result.stdout


@pytest.mark.parametrize(
    ("recorded", "here", "expected"),
    [
        ("avx512_vnni", "avx2", ("saturate on this processor, which is without", "avx2, or: ")),
        ("avx2", "avx512_vnni", ("saturated where the scores were recorded", "hint: edge-ood")),
        ("avx512_vnni", "avx_vnni", ("were recorded on A (x86_64)", "hint: edge-ood")),
    ],
)
def test_int8_that_saturates_is_named(
    colour_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recorded: str,
    here: str,
    expected: tuple[str, str],
) -> None:
    """The usual cause on x86 without VNNI, with its cure: a smaller range of weights."""
    devices = {
        name: Device("A", "x86_64", ("avx", name), "1.17.0", "cpu") for name in (recorded, here)
    }
    monkeypatch.setattr("edge_ood.runtime.probe.this_device", lambda provider: devices[here])
    path = recorded_elsewhere(
        colour_artifact, tmp_path / "x.onnx", devices[recorded], int8_target="vnni", shift=1.0
    )

    result = check(path)

    error, hint = result.stderr.splitlines()
    assert 1 == result.exit_code
    assert expected[0] in error
    assert expected[1] in hint
    assert f"edge-ood calibrate {path} ID_IMAGES" in hint


def test_weights_of_7_bits_do_not_saturate(
    colour_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is off there has another cause."""
    here = Device("A", "x86_64", ("avx2",), "1.17.0", "cpu")
    monkeypatch.setattr("edge_ood.runtime.probe.this_device", lambda provider: here)
    path = recorded_elsewhere(
        colour_artifact, tmp_path / "x.onnx", ELSEWHERE, int8_target="avx2", shift=1.0
    )

    result = check(path)

    assert 1 == result.exit_code
    assert "saturate" not in result.stderr
    assert "were recorded on Cortex-A72" in result.stderr
    assert "int8-target" not in result.stderr


def test_a_missing_gpu_is_an_error(colour_artifact: Path) -> None:
    """`--provider cuda` on a machine without one says so instead of checking the CPU."""
    result = CliRunner().invoke(app, ["check", str(colour_artifact), "--provider", "rocm"])

    assert 1 == result.exit_code
    assert (
        "error: unknown provider 'rocm'\nhint: one of auto, cpu, cuda, tensorrt, openvino\n"
        == result.stderr
    )
