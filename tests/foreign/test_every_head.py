"""Every score head in one artefact: fitted, assembled, calibrated and passed by the gate."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import HEADS, bind_head

WIDTH = 192
READABLE = [name for name in HEADS.names() if "logits_pair" not in HEADS.get(name).inputs]


def network() -> onnx.ModelProto:
    """Features >= 0 that see colours, and a linear layer on them; 8 px, three classes."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(WIDTH, 3, 1, 1)) / 4
    kernel[:3] = 4 * np.eye(3)[:, :, None, None]
    weight = rng.normal(size=(3, WIDTH)) / 100
    weight[:, :3] += 8 * np.eye(3)[[1, 0, 2]]  # the classes are green, red and blue
    arrays = {"kernel": kernel, "weight": weight, "bias": rng.normal(size=3) / 100}
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["maps"]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weight", "bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_head_passes_the_gate(colours: Path, tmp_path: Path, precision: str) -> None:
    """On somebody else's network, in every precision that it can have, and with all combined."""
    onnx.save(network(), tmp_path / "network.onnx")
    still = precision == "int8"  # which has no gradient
    chosen = [name for name in READABLE if not (still and bind_head(name).epsilon)]
    path = tmp_path / "x.onnx"
    folders = ["--id", colours / "train", "--calibration", colours / "calibration"]
    words = ["--pixels", "unit", "--crop", "1", "--interpolation", "bilinear", "--force"]
    scores = ["--scores", ",".join([*chosen, "combined"]), "--precision", precision]

    command = ["attach", tmp_path / "network.onnx", "-o", path, *folders, *words, *scores]
    done = CliRunner().invoke(app, list(map(str, command)))

    assert 0 == done.exit_code, done.stderr
    found = Scorer(path, provider="cpu")(colours / "calibration")
    assert [*chosen, "combined"] == list(found.scores)
    assert all(np.isfinite(values).all() for values in found.scores.values())
    assert all(np.ptp(found.scores[name]) > 0 for name in chosen)
