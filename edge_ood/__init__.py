"""A classifier that knows when an image is not something it was trained for, as one ONNX file.

What the commands do, functions of the same names do: `train`, `export`, `attach`, `explain`,
`evaluate` and `calibrate`; `Scorer` runs an artefact on paths and pictures.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ood.api.attach import attach
    from edge_ood.api.calibrate import calibrate
    from edge_ood.api.evaluate import evaluate
    from edge_ood.api.explain import explain
    from edge_ood.api.export import export
    from edge_ood.api.train import train
    from edge_ood.artifact.outputs import Row, Scores
    from edge_ood.artifact.verdict import Verdict
    from edge_ood.attachment.attached import Attached
    from edge_ood.errors import EdgeOodError
    from edge_ood.evaluation.evaluation import Evaluation
    from edge_ood.runtime.calibration_report import CalibrationReport
    from edge_ood.runtime.explanation import Explanation
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.training.progress import TrainReport

__all__ = [
    "Attached",
    "CalibrationReport",
    "EdgeOodError",
    "Evaluation",
    "Explanation",
    "Row",
    "Scorer",
    "Scores",
    "TrainReport",
    "Verdict",
    "attach",
    "calibrate",
    "evaluate",
    "explain",
    "export",
    "train",
]

_HOMES = {
    "Attached": "attachment.attached",
    "CalibrationReport": "runtime.calibration_report",
    "EdgeOodError": "errors",
    "Evaluation": "evaluation.evaluation",
    "Explanation": "runtime.explanation",
    "Row": "artifact.outputs",
    "Scorer": "runtime.scorer",
    "Scores": "artifact.outputs",
    "TrainReport": "training.progress",
    "Verdict": "artifact.verdict",
    "attach": "api.attach",
    "calibrate": "api.calibrate",
    "evaluate": "api.evaluate",
    "explain": "api.explain",
    "export": "api.export",
    "train": "api.train",
}

_USAGE_DATA = "ORT_DISABLE_TELEMETRY"
_NO = ("", "0", "false", "no", "off")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `edge-ood --help` loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'edge_ood' has no attribute {name!r}")
    return getattr(importlib.import_module(f"edge_ood.{_HOMES[name]}"), name)


def _keep_usage_data() -> None:
    """Recent wheels of onnxruntime send usage data to their maker, unless the user says no."""
    if os.environ.setdefault(_USAGE_DATA, "1").strip().lower() in _NO:
        return
    # It reads the variable when it loads, and reports that at once; what would follow, this stops.
    loaded = sys.modules.get("onnxruntime")
    getattr(loaded, "disable_telemetry_events", lambda: None)()


def __dir__() -> list[str]:
    """The public names, for completion in a shell."""
    return sorted(__all__)


_keep_usage_data()
