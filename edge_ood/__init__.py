"""A classifier that knows when an image is not something it was trained for, as one ONNX file."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ood.artifact.outputs import Row, Scores
    from edge_ood.errors import EdgeOodError
    from edge_ood.runtime.scorer import Scorer

__all__ = ["EdgeOodError", "Row", "Scorer", "Scores"]

_HOMES = {
    "EdgeOodError": "errors",
    "Row": "artifact.outputs",
    "Scorer": "runtime.scorer",
    "Scores": "artifact.outputs",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `edge-ood --help` loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'edge_ood' has no attribute {name!r}")
    return getattr(importlib.import_module(f"edge_ood.{_HOMES[name]}"), name)
