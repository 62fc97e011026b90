"""A classifier that knows when an image is not something it was trained for, as one ONNX file.

What the commands do, functions of the same names do: `train`, `export`, `attach`, `evaluate` and
`calibrate`; `Scorer` runs an artefact on paths and arrays.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ood.api.attach import attach
    from edge_ood.api.calibrate import calibrate
    from edge_ood.api.evaluate import evaluate
    from edge_ood.api.export import export
    from edge_ood.api.train import train
    from edge_ood.artifact.outputs import Row, Scores
    from edge_ood.attachment.attached import Attached
    from edge_ood.errors import EdgeOodError
    from edge_ood.evaluation.results import Evaluation
    from edge_ood.runtime.calibrate import CalibrationReport
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.training.progress import TrainReport

__all__ = [
    "Attached",
    "CalibrationReport",
    "EdgeOodError",
    "Evaluation",
    "Row",
    "Scorer",
    "Scores",
    "TrainReport",
    "attach",
    "calibrate",
    "evaluate",
    "export",
    "train",
]

_HOMES = {
    "Attached": "attachment.attached",
    "CalibrationReport": "runtime.calibrate",
    "EdgeOodError": "errors",
    "Evaluation": "evaluation.results",
    "Row": "artifact.outputs",
    "Scorer": "runtime.scorer",
    "Scores": "artifact.outputs",
    "TrainReport": "training.progress",
    "attach": "api.attach",
    "calibrate": "api.calibrate",
    "evaluate": "api.evaluate",
    "export": "api.export",
    "train": "api.train",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `edge-ood --help` loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'edge_ood' has no attribute {name!r}")
    return getattr(importlib.import_module(f"edge_ood.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, for completion in a shell."""
    return sorted(__all__)
