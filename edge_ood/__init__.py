"""A classifier that knows when an image is not something it was trained for, as one ONNX file."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ood.errors import EdgeOodError
    from edge_ood.runtime import Row, Scorer, Scores

__all__ = ["EdgeOodError", "Row", "Scorer", "Scores"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `edge-ood --help` loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'edge_ood' has no attribute {name!r}")
    home = "edge_ood.errors" if name == "EdgeOodError" else "edge_ood.runtime"
    return getattr(importlib.import_module(home), name)
