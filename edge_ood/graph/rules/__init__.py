"""Reverse-mode differentiation, one operator per file.

A rule turns the gradient of an operator's output into the gradient of one of its inputs, as ONNX
nodes. It needs no import list: a file in this folder whose last line is `RULE = Rule(...)` is
found by the operators it names. Rules write only operator forms that exist since opset 13.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from onnx import NodeProto

from edge_ood.graph.polyphase import Polyphase
from edge_ood.graph.tape import Tape
from edge_ood.registry import Registry

__all__ = ["RULES", "Rule", "find_rule"]

RULES = Registry("edge_ood.graph.rules", kind="gradient rule", attribute="RULE")


@dataclass(frozen=True)
class Rule:
    """How one operator, or a few that share a rule, passes a gradient back.

    Attributes:
        op_types: Operators of the default ONNX domain.
        vjp: `vjp(tape, node, index)` gives the name of the gradient of `node.input[index]`, a
            tensor of that input's shape, whole or in polyphase form, or None where the derivative
            is zero everywhere. The gradient of the first output is `tape.gradient(node)`.
        all_outputs: The rule reads the gradients of all outputs, not only of the first.
    """

    op_types: tuple[str, ...]
    vjp: Callable[[Tape, NodeProto, int], str | Polyphase | None]
    all_outputs: bool = False


def find_rule(op_type: str) -> Rule | None:
    """The rule for an operator of the default domain, or None if there is no file for it."""
    return _rules().get(op_type)


@functools.cache
def _rules() -> dict[str, Rule]:
    found: dict[str, Rule] = {}
    for name in RULES.names():
        rule = RULES.get(name)
        for op_type in rule.op_types:
            assert op_type not in found, f"two gradient rules for {op_type}"
            found[op_type] = rule
    return found
