"""The contract of an artefact: its input, its outputs, and the columns of a table of them.

Names, order and types are public, and written here alone: the graph is built by them, the file is
checked against them when it is opened, and a table's columns follow them.
"""

from collections.abc import Sequence

__all__ = ["INPUT_NAME", "columns", "contract_outputs", "decision_of", "pvalue_of"]

INPUT_NAME = "images"
"""The only input: uint8 (N, H, W, 3) in RGB."""

_DECISION, _NUMBER = "tensor(bool)", "tensor(float)"
_OF_THE_IMAGE = {
    "label": "tensor(int64)",
    "is_ood": _DECISION,
    "pvalue": _NUMBER,
    "logits": _NUMBER,
}


def contract_outputs(heads: Sequence[str]) -> dict[str, str]:
    """The artefact's outputs by name and in order, with their types as onnxruntime names them."""
    outputs = dict(_OF_THE_IMAGE)
    for head in heads:
        outputs |= {head: _NUMBER, pvalue_of(head): _NUMBER, decision_of(head): _DECISION}
    return outputs


def pvalue_of(head: str) -> str:
    """Name of the output, and column, with the p-values of a head."""
    return f"{head}_pvalue"


def decision_of(head: str) -> str:
    """Name of the output, and column, with the decisions of a head."""
    return f"{head}_is_ood"


def columns(heads: Sequence[str]) -> list[str]:
    """Names and order of a score table's columns."""
    scored = [name for name in contract_outputs(heads) if name not in ("label", "logits")]
    return ["path", "status", "error", "label", "label_index", *scored]
