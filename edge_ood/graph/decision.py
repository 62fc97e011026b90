"""The last part of an artefact's graph: from scores and label to p-values and decisions.

It is recorded anew whenever thresholds change, so that it has the nodes that its calibration needs
and no others, in files of every age.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_ood.artifact.contract import contract_outputs, decision_of, pvalue_of
from edge_ood.calibration.combination import COMBINED, Combination
from edge_ood.calibration.decision import CombinedDecision, Decision
from edge_ood.calibration.decision_table import DecisionTable
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.threshold import pvalues_of_weights
from edge_ood.errors import ArtifactError, InputError
from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.network import GraphOutput, build_model
from edge_ood.graph.simplify import prune

__all__ = ["keep_heads", "read_decision", "with_decision"]

_THRESHOLDS, _KNOTS, _PVALUES, _GROUPS = "thresholds", "knots", "pvalues", "groups"
_WEIGHTS, _TOTAL = "knot_weights", "knot_total"
"""Files of format 1 weigh their knots instead of having `pvalues`."""

_MAP_KNOTS, _SURPRISE, _SLOPES = "map_knots", "surprise", "slopes"
_NAMES = (_THRESHOLDS, _KNOTS, _PVALUES, _GROUPS, _WEIGHTS, _TOTAL, _MAP_KNOTS, _SURPRISE, _SLOPES)
"""Initializers of a decision; those of the combined score have its name in front."""

_MEMBERS, _SUMMED = f"{COMBINED}/members", f"{COMBINED}/summed"
"""Tensors that tell what is combined, and that its surprises are summed."""

_ELEMENT_TYPES = {
    "tensor(int64)": TensorProto.INT64,
    "tensor(bool)": TensorProto.BOOL,
    "tensor(float)": TensorProto.FLOAT,
}


def with_decision(model: onnx.ModelProto, decision: Decision, *, primary: str) -> onnx.ModelProto:
    """The model with this decision in place of the one it had, and what its heads need alone.

    Args:
        model: Outputs `label`, `logits` and the scores of all heads; stays as it is.
        decision: Its scores are the outputs that are kept.
        primary: Name of the head whose p-value and decision are `pvalue` and `is_ood`.

    Returns:
        A model with the outputs of the artefact contract, and with input and metadata of `model`.
    """
    table, combined = decision.table, decision.combined
    needed = dict.fromkeys([*table.heads, *(combined.combination.heads if combined else ())])
    pruned = prune(model, ["label", "logits", *needed])
    builder = GraphBuilder(prefix="decision")
    builder.nodes.extend(pruned.graph.node)
    builder.initializers.extend(pruned.graph.initializer)
    if table.heads:
        _record(builder, table)
    if combined:
        _record_combination(builder, combined.combination)
        _record(builder, combined.table, prefix=f"{COMBINED}/")
    builder.add("Identity", [pvalue_of(primary)], name="pvalue")
    builder.add("Identity", [decision_of(primary)], name="is_ood")
    (entry,) = pruned.graph.input
    made = build_model(builder, _contract_outputs(decision), model, entry=entry)
    made.graph.value_info.extend(pruned.graph.value_info)
    made.metadata_props.extend(model.metadata_props)
    return made


def keep_heads(
    model: onnx.ModelProto, names: Sequence[str], wanted: Sequence[str], *, primary: str
) -> onnx.ModelProto:
    """An artefact that computes only some of its heads, and nothing that only others need.

    Args:
        model: An artefact; stays as it is.
        names: All its scores, in the order of its outputs.
        wanted: Some of them, `primary` included, in the same order.
        primary: The score that decides.

    Returns:
        A model with the same decisions, p-values and metadata.
    """
    return with_decision(model, read_decision(model, names).of_heads(wanted), primary=primary)


def read_decision(model: onnx.ModelProto, heads: Sequence[str]) -> Decision:
    """The decision of an artefact of any age, to the bit.

    Args:
        model: An artefact.
        heads: All its scores, in the order of its outputs.

    Raises:
        ArtifactError: If the graph has no decision, or a damaged one.
    """
    arrays = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.removeprefix(f"{COMBINED}/") in _NAMES
    }
    if _THRESHOLDS not in arrays or _KNOTS not in arrays:
        raise ArtifactError(
            "the graph has no thresholds, so it is no edge-ood artefact",
            hint="make one with 'edge-ood export RUN'",
        )
    try:
        table = _table(tuple(head for head in heads if head != COMBINED), arrays)
        combined = _combined(model, table.heads, arrays) if COMBINED in heads else None
        return Decision(table, combined)
    except (InputError, IndexError, KeyError, ValueError) as error:
        raise ArtifactError(
            f"the decision of the graph is damaged: {error}", hint="export it again"
        ) from error


def _table(heads: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> DecisionTable:
    """The table of untrusted arrays; they may raise whatever NumPy does."""
    thresholds, knots = arrays[_THRESHOLDS], arrays[_KNOTS]
    groups = arrays.get(_GROUPS, np.zeros(thresholds.shape[1], np.int64))
    _, first = np.unique(groups, return_index=True)
    pvalues = arrays[_PVALUES] if _PVALUES in arrays else _from_weights(arrays)
    by_group = pvalues.reshape(knots.shape[1], knots.shape[2] + 1)
    table = DecisionTable(heads, thresholds[:, first], knots, by_group, groups)
    if not np.array_equal(table.thresholds[:, groups], thresholds):
        raise InputError("thresholds differ between classes that share their p-values")
    return table


def _combined(
    model: onnx.ModelProto, heads: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]
) -> CombinedDecision:
    """Files of earlier versions combine all heads, by the largest surprise."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    if _MEMBERS in made_by:
        heads = Guarantee(combined_of=tuple(made_by[_MEMBERS].input)).members(heads)
    rule = "sum" if _SUMMED in made_by else "largest"
    prefix = f"{COMBINED}/"
    own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    knots = own[_MAP_KNOTS].reshape(len(heads), -1)
    combination = Combination(heads, knots, own[_SURPRISE], own[_SLOPES].ravel(), rule)
    return CombinedDecision(combination, _table((COMBINED,), own))


def _record_combination(builder: GraphBuilder, combination: Combination) -> None:
    """The combined score (N,), step by step as `Combination.score` computes it."""
    count = len(combination.heads)
    scores = builder.add("Concat", combination.heads, name=_MEMBERS, axis=0)
    column = builder.add("Reshape", [scores, builder.constant([count, -1, 1], np.int64)])
    prefix = f"{COMBINED}/"
    knots = builder.initializer(prefix + _MAP_KNOTS, combination.knots[:, None])
    surprise = builder.initializer(prefix + _SURPRISE, combination.surprise)
    slopes = builder.initializer(prefix + _SLOPES, combination.slopes.reshape(count, 1, 1))
    counted = _record_counts(builder, column, knots, combination.knots.shape[1])
    within = builder.add("Gather", [surprise, builder.add("Cast", [counted], to=TensorProto.INT64)])
    largest = builder.constant(combination.knots[:, -1:, None], np.float32)
    above = builder.add("Relu", [builder.add("Sub", [column, largest])])
    total = builder.add("Add", [within, builder.add("Mul", [above, slopes])])
    # Neither Relu nor ReduceMax guarantees to pass NaN on, so it is added: 0 of finite scores.
    nothing = builder.add("Mul", [column, builder.constant(0, np.float32)])
    if combination.rule == "largest":
        axes = builder.constant([0, 2], np.int64)
        most = builder.add("ReduceMax", [total, axes], keepdims=0)
        poison = builder.add("ReduceSum", [nothing, axes], keepdims=0)
        builder.add("Add", [most, poison], name=COMBINED)
        return
    # One after the other: a kernel that sums in an order of its own is off in the last bit.
    surprises = builder.add("Add", [total, nothing], name=_SUMMED)
    rows = [f"{COMBINED}/{head}" for head in combination.heads]
    _record_rows(builder, surprises, rows)
    for row in rows[1:-1]:
        rows[0] = builder.add("Add", [rows[0], row])
    builder.add("Add", [rows[0], rows[-1]], name=COMBINED)


def _from_weights(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """P-values by the number of knots reached, as a graph of format 1 adds them up."""
    return pvalues_of_weights(arrays[_WEIGHTS].ravel(), int(arrays[_TOTAL]) - 1)


def _record(builder: GraphBuilder, decided: DecisionTable, prefix: str = "") -> None:
    """P-values and decisions of all heads at once, as a matrix (S, N)."""
    names = decided.heads
    scores = builder.add("Concat", names, axis=0) if len(names) > 1 else names[0]
    by_head = builder.add("Reshape", [scores, builder.constant([len(names), -1], np.int64)])
    column = builder.add("Reshape", [scores, builder.constant([len(names), -1, 1], np.int64)])
    by_class = decided.thresholds[:, decided.groups]
    thresholds = builder.initializer(prefix + _THRESHOLDS, by_class)
    limits = builder.add("Gather", [thresholds, "label"], axis=1)
    kept = builder.add("LessOrEqual", [by_head, limits])
    flagged = builder.add("Not", [kept])
    knots = _record_knots(builder, decided, prefix)
    table = builder.initializer(prefix + _PVALUES, decided.pvalues.ravel())
    counted = _record_counts(builder, column, knots, decided.knots.shape[2])
    pvalues = builder.add("Gather", [table, _record_index(builder, counted, decided)])
    _record_rows(builder, pvalues, [pvalue_of(name) for name in names])
    _record_rows(builder, flagged, [decision_of(name) for name in names])


def _record_counts(builder: GraphBuilder, column: str, knots: str, most: int) -> str:
    """How many knots (.., most) each of the scores (S, N, 1) reaches, as whole float32 numbers."""
    reached = builder.add("LessOrEqual", [column, knots])
    # Counting is a product with a column: with a vector, onnxruntime takes twice to four times as
    # long, and ReduceSum has no fast kernel for booleans.
    ones = builder.constant(np.ones((most, 1)), np.float32)
    return builder.add("MatMul", [builder.add("Cast", [reached], to=TensorProto.FLOAT), ones])


def _record_knots(builder: GraphBuilder, table: DecisionTable, prefix: str) -> str:
    """Knots that broadcast against scores (S, N, 1): those of each image's class."""
    knots = builder.initializer(prefix + _KNOTS, table.knots)
    if table.num_groups == 1:
        return knots
    groups = builder.initializer(prefix + _GROUPS, table.groups)
    return builder.add("Gather", [knots, builder.add("Gather", [groups, "label"])], axis=1)


def _record_index(builder: GraphBuilder, counted: str, table: DecisionTable) -> str:
    """Positions (S, N, 1) in the flat table of p-values."""
    index = builder.add("Cast", [counted], to=TensorProto.INT64)
    if table.num_groups == 1:
        return index
    starts = table.groups[:, None] * table.pvalues.shape[1]
    start = builder.add("Gather", [builder.constant(starts, np.int64), "label"])
    return builder.add("Add", [index, start])


def _record_rows(builder: GraphBuilder, matrix: str, names: Sequence[str]) -> None:
    """Name the rows of a matrix (S, N): flat, they are S equal parts, which is one node."""
    flat = builder.add("Reshape", [matrix, builder.constant([-1], np.int64)])
    builder.nodes.append(
        helper.make_node("Split", [flat], names, name=names[0], axis=0, num_outputs=len(names))
    )


def _contract_outputs(decision: Decision) -> list[GraphOutput]:
    shapes = {"logits": ("N", len(decision.table.groups))}
    return [
        GraphOutput(name, _ELEMENT_TYPES[kind], shapes.get(name, ("N",)))
        for name, kind in contract_outputs(decision.outputs).items()
    ]
