"""scikit-learn's linear classifiers, from operators of `ai.onnx.ml` to ONNX's own.

skl2onnx writes a logistic regression as LinearClassifier and Normalizer, and StandardScaler as
Scaler. Each is a few of ONNX's own operators, of which everything here knows the logits, the
features and the gradient. https://onnx.ai/onnx/operators/#ai-onnx-ml
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from edge_ood.graph.draft import Draft, finish, start
from edge_ood.graph.shapes import attribute
from edge_ood.graph.versions import opset_version

__all__ = ["in_own_operators"]

_ML_DOMAIN = "ai.onnx.ml"
_SHARES = {b"LOGISTIC": "Sigmoid", b"SOFTMAX": "Softmax"}
_AXES_AS_INPUT = 13
"""Opset in which ReduceSum takes its axes from a tensor."""


def in_own_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model in which each linear classifier that ONNX's own operators can write is so written.

    Args:
        model: As `edge_ood.graph.intake.read_model` gives it; stays as it is.

    Returns:
        The model with tensors of the same names and values, but for labels, (1, N) now: `own_part`
        cuts them off. What has another form than scikit-learn's classifiers stays as it is.
    """
    if not any(node.domain == _ML_DOMAIN for node in model.graph.node):
        return model
    draft, positive = start(model), set[str]()
    nodes, draft.nodes = draft.nodes, []
    for node in nodes:
        draft.nodes += _rewritten(draft, node, positive, opset_version(model)) or [node]
    return finish(model, draft)


def _rewritten(draft: Draft, node: NodeProto, positive: set[str], opset: int) -> list[NodeProto]:
    """Nodes in place of one; none if it stays. `positive` gets tensors without negative values."""
    if node.domain != _ML_DOMAIN:
        return []
    if node.op_type == "LinearClassifier":
        return _classifier(draft, node, positive)
    if node.op_type == "Scaler":
        return _scaler(draft, node)
    if node.op_type == "Normalizer" and attribute(node, "norm") == b"L1":
        return _normalizer(draft, node, opset) if node.input[0] in positive else []
    return []


def _classifier(draft: Draft, node: NodeProto, positive: set[str]) -> list[NodeProto]:
    labels = attribute(node, "classlabels_strings") or attribute(node, "classlabels_ints") or []
    offsets = np.array(attribute(node, "intercepts", []), np.float32)
    weights = np.array(attribute(node, "coefficients", []), np.float32)
    made = _SHARES.get(kind := attribute(node, "post_transform", b"NONE"))
    # One row for two classes is possible, too; scikit-learn's converter writes both.
    whole = 1 < len(labels) == len(offsets) and len(weights) % len(labels) == 0
    if not whole or list(map(bool, node.output)) != [True] * 2 or not (made or kind == b"NONE"):
        return []
    if made == "Sigmoid" and len(labels) == 2 and _are_opposite(weights) and _are_opposite(offsets):
        made, halved = "Softmax", np.float32(0.5)  # of z and -z, halved, it is the sigmoid of z
        weights, offsets = weights * halved, offsets * halved
    label, shares = node.output
    scores = f"{shares}/logits" if made else shares
    transposed = draft.add(f"{shares}/weights", weights.reshape(len(labels), -1).T)
    names = f"{shares}/labels"
    is_text = isinstance(labels[0], bytes)
    draft.weights[names] = helper.make_tensor(
        names, TensorProto.STRING if is_text else TensorProto.INT64, [len(labels)], labels
    )
    nodes = [
        _node("Cast", [node.input[0]], f"{shares}/float", to=TensorProto.FLOAT),
        _node("MatMul", [f"{shares}/float", transposed], f"{shares}/product"),
        _node("Add", [f"{shares}/product", draft.add(f"{shares}/offsets", offsets)], scores),
        _node("ArgMax", [scores], f"{shares}/best", axis=1, keepdims=0),
        _node("ArrayFeatureExtractor", [names, f"{shares}/best"], label, domain=_ML_DOMAIN),
    ]
    if made:
        positive.add(shares)
        nodes.append(_node(made, [scores], shares, **({"axis": 1} if made == "Softmax" else {})))
    return nodes


def _are_opposite(halves: NDArray[np.float32]) -> bool:
    first, second = np.split(halves, 2)
    return np.array_equal(first, -second)


def _scaler(draft: Draft, node: NodeProto) -> list[NodeProto]:
    if not (attribute(node, "offset") and attribute(node, "scale")):
        return []
    offset, scale = (
        draft.add(f"{node.output[0]}/{name}", np.array(attribute(node, name), np.float32))
        for name in ("offset", "scale")
    )
    cast, centred = f"{node.output[0]}/float", f"{node.output[0]}/centred"
    return [
        _node("Cast", [node.input[0]], cast, to=TensorProto.FLOAT),
        _node("Sub", [cast, offset], centred),
        _node("Mul", [centred, scale], node.output[0]),
    ]


def _normalizer(draft: Draft, node: NodeProto, opset: int) -> list[NodeProto]:
    total = f"{node.output[0]}/total"
    if opset >= _AXES_AS_INPUT:
        axes = draft.add(f"{total}/axes", np.array([1]))
        sums = _node("ReduceSum", [node.input[0], axes], total, keepdims=1)
    else:
        sums = _node("ReduceSum", [node.input[0]], total, keepdims=1, axes=[1])
    return [sums, _node("Div", [node.input[0], total], node.output[0])]


def _node(kind: str, inputs: list[str], output: str, **attributes: object) -> NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)
