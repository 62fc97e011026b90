"""Whether an adopted classifier still says what its file says, by how much its own runs differ."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_ood.errors import ExportError
from edge_ood.foreign.adopted import check_adopted
from edge_ood.foreign.conventions import Convention
from edge_ood.foreign.trial import Trial
from edge_ood.graph.adopt import adopt
from edge_ood.graph.endings import find_ending
from edge_ood.graph.intake import image_input, normal_form
from edge_ood.images.preprocess import Preprocess

SIZE = 4
PIXELS = np.random.default_rng(0).integers(0, 256, (9, SIZE, SIZE, 3), np.uint8)
TRUE = PIXELS.reshape(9, -1, 3).mean(axis=1) / 255 * 20  # of a deviation of about 1


@dataclass
class Runs:
    """A file whose runs are off: all images together, each alone, and node by node."""

    together: float = 0.0
    alone: float = 0.0
    plain: float = 0.0
    provider: str = "cpu"

    def __call__(self, pixels: np.ndarray, convention: Convention) -> np.ndarray:
        """Rows (N, 3)."""
        rows = pixels.reshape(len(pixels), -1, 3).mean(axis=1) / 255 * 20
        found: np.ndarray = rows + (self.alone if len(pixels) == 1 else self.together)
        return found

    def node_by_node(self) -> "Runs":
        """The same without rewriting."""
        return Runs(self.plain)


def by_mean_colour() -> onnx.ModelProto:
    """Logits are 20 times the mean of each colour."""
    weights = numpy_helper.from_array(20 * np.eye(3, dtype=np.float32), "weights")
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weights"], ["logits"]),
    ]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
    result = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph(nodes, "g", [entry], [result], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def checked(error: float, runs: Runs) -> None:
    """Check it against rows that are off by `error`."""
    model = by_mean_colour()
    entry = image_input(model, layout=None, size_px=None)
    normal = normal_form(model, entry, logits=None)
    ending = find_ending(normal, classes=3, logits=None, features={})
    convention = Convention(Preprocess(SIZE, (0, 0, 0), (1, 1, 1)), "rgb", entry)
    classifier = adopt(normal, entry, ending, channels="rgb", probabilities=False)
    network: Any = runs
    trial = Trial(convention, TRUE + error, PIXELS, None, "logits")
    check_adopted(classifier, trial, ending, network)


def test_what_agrees_passes() -> None:
    """Within float32."""
    checked(0.0, Runs())


def test_an_error_that_the_file_itself_does_not_show_is_refused() -> None:
    """Every run of the file gives the rows of the trial; the adopted classifier does not."""
    with pytest.raises(ExportError, match=r"gives 'logits' with an error of 1\.0e-01 \(allowed"):
        checked(0.1, Runs(0.1, 0.1, 0.1))


@pytest.mark.parametrize("where", ["together", "alone", "plain"])
def test_twice_what_its_own_runs_differ_by_is_allowed(where: str) -> None:
    """Each kind of run counts."""
    off = {name: 0.1 for name in ("together", "alone", "plain") if name != where}
    checked(0.1, Runs(**off, **{where: 0.04}))
    with pytest.raises(ExportError, match=r"error of 1\.0e-01 \(allowed"):
        checked(0.1, Runs(**off, **{where: 0.06}))


def test_a_file_whose_runs_have_little_in_common_is_refused() -> None:
    """By a line that says so."""
    with pytest.raises(ExportError, match="onnxruntime's own runs of the classifier differ by"):
        checked(0.1, Runs(0.1, 0.1, 3.0))
