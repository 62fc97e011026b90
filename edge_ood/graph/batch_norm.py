"""Batch normalisations absorbed by the convolutions next to them."""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from edge_ood.graph.draft import Draft
from edge_ood.graph.shapes import attribute

__all__ = ["fold_into_next", "fold_into_previous"]


def fold_into_previous(draft: Draft) -> None:
    """Let each convolution take the batch normalisation that follows it."""
    makers = {node.output[0]: node for node in draft.nodes if node.op_type == "Conv"}
    uses = draft.uses()
    kept = []
    for node in draft.nodes:
        maker = makers.get(node.input[0]) if _is_fixed_norm(draft, node) else None
        if maker is None or uses[node.input[0]] > 1 or not _has_fixed_weights(draft, maker):
            kept.append(node)
            continue
        scale, shift = _affine(draft, node)
        weights, bias = _weights_and_bias(draft, maker)
        scaled = weights * scale.reshape(-1, *[1] * (weights.ndim - 1))
        _set_weights(draft, maker, scaled, bias * scale + shift)
        maker.output[0] = node.output[0]
        makers[node.output[0]] = maker
    draft.nodes = kept


def fold_into_next(draft: Draft) -> None:
    """Let each convolution without padding take the batch normalisation that precedes it."""
    norms = {n.output[0]: n for n in draft.nodes if _is_fixed_norm(draft, n)}
    uses = draft.uses()
    absorbed = set()
    for node in draft.nodes:
        norm = norms.get(node.input[0]) if node.op_type == "Conv" else None
        if norm is None or uses[node.input[0]] > 1 or not _has_fixed_weights(draft, node):
            continue
        if any(attribute(node, "pads", [])) or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
            continue
        scale, shift = _affine(draft, norm)
        weights, bias = _weights_and_bias(draft, node)
        group = attribute(node, "group", 1)
        per_input = (group, 1, -1, *[1] * (weights.ndim - 2))
        grouped = weights.reshape(group, -1, *weights.shape[1:])
        added = (grouped * shift.reshape(per_input)).reshape(weights.shape)
        scaled = (grouped * scale.reshape(per_input)).reshape(weights.shape)
        _set_weights(draft, node, scaled, bias + added.reshape(len(weights), -1).sum(axis=1))
        node.input[0] = norm.input[0]
        absorbed.add(norm.output[0])
    draft.nodes = [node for node in draft.nodes if node.output[0] not in absorbed]


def _is_fixed_norm(draft: Draft, node: NodeProto) -> bool:
    return (
        node.op_type == "BatchNormalization"
        and not attribute(node, "training_mode", 0)
        and all(name in draft.weights for name in node.input[1:])
    )


def _has_fixed_weights(draft: Draft, conv: NodeProto) -> bool:
    return all(name in draft.weights for name in conv.input[1:] if name)


def _affine(draft: Draft, norm: NodeProto) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift (C,) of a batch normalisation, in float64."""
    scale, bias, mean, variance = (
        numpy_helper.to_array(draft.weights[name]).astype(np.float64) for name in norm.input[1:]
    )
    factor = scale / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
    return factor, bias - mean * factor


def _weights_and_bias(
    draft: Draft, conv: NodeProto
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weights = numpy_helper.to_array(draft.weights[conv.input[1]]).astype(np.float64)
    if len(conv.input) < 3 or not conv.input[2]:
        return weights, np.zeros(len(weights))
    return weights, numpy_helper.to_array(draft.weights[conv.input[2]]).astype(np.float64)


def _set_weights(
    draft: Draft, conv: NodeProto, weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> None:
    name = conv.input[1]
    dtype = helper.tensor_dtype_to_np_dtype(draft.weights[name].data_type)
    new_bias = f"{conv.output[0]}/bias"
    conv.input[1:] = [
        draft.add(name, weights.astype(dtype)),
        draft.add(new_bias, bias.astype(dtype)),
    ]
