"""Which versions a file is written in, and whether what is installed here knows them."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from edge_ood.errors import ArtifactError
from edge_ood.graph.network import IR_VERSION
from edge_ood.graph.own_part import OWN_DOMAINS
from edge_ood.onnx_session import open_session

__all__ = ["check_versions", "lower_ir_version", "opset_version"]


def check_versions(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a model that onnx or onnxruntime are too old for, by its numbers.

    Args:
        model: Untrusted.
        path: Where it comes from, for messages.

    Raises:
        ArtifactError: If its IR version or its opset is too new.
    """
    if model.ir_version > onnx.IR_VERSION:
        raise ArtifactError(
            f"'{path}' has IR version {model.ir_version}, onnx {onnx.__version__} reads up to "
            f"{onnx.IR_VERSION}",
            hint="pip install --upgrade onnx onnxruntime, or export it for an older version",
        )
    # How new an opset may be, onnxruntime says only when it is given one.
    entry, result = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy")
    nothing = helper.make_node("Identity", ["x"], ["y"])
    smallest = helper.make_model(
        helper.make_graph([nothing], "versions", [entry], [result]),
        opset_imports=[helper.make_opsetid("", opset_version(model))],
        ir_version=IR_VERSION,
    )
    open_session(smallest.SerializeToString(), provider="cpu", source=str(path))


def lower_ir_version(model: onnx.ModelProto) -> None:
    """Let a model need no newer IR than its operators do, in place: onnxruntime may be older.

    Args:
        model: Checked, and without local functions.
    """
    own = [entry for entry in model.opset_import if entry.domain in OWN_DOMAINS]
    needed = helper.find_min_ir_version_for(own, ignore_unknown=True)
    model.ir_version = max(IR_VERSION, needed)


def opset_version(model: onnx.ModelProto) -> int:
    """Version of ONNX's own operators in a model."""
    own = [int(entry.version) for entry in model.opset_import if entry.domain in OWN_DOMAINS]
    return max(own, default=1)
