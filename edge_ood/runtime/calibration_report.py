"""`CalibrationReport`: the typed result of a calibration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_ood.artifact.calibration_record import Calibration
from edge_ood.artifact.guarantee_text import guarantee_text
from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.outputs import Scores
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.decision import Decision
from edge_ood.files.plain_table import data_frame, format_table
from edge_ood.files.text import printable

__all__ = ["CalibrationReport"]


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration did; `print` shows what the command shows.

    Attributes:
        path: The file that was written.
        before: The calibration that was in force.
        metadata: Of the file as it is now.
        scores: Of the calibration images, each once; None after an undo.
        decision: As stored in the graph.
        notes: What you should know about the images, one sentence each.
    """

    path: Path
    before: Calibration
    metadata: Metadata
    scores: Scores | None
    decision: Decision
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [
            (head, "-" if before is None else f"{before:.6g}", f"{now:.6g}")
            for head, before, now in self._thresholds()
        ]
        after = self.after
        return "\n".join(
            [
                format_table(("head", "threshold before", "threshold now"), rows),
                *self._by_class(),
                f"{self.path}: calibrated on {after.n} images, of which "
                f"{after.guarantee.needed_images} are needed at least",
                guarantee_text(self.metadata),
                f"recorded on {printable(str(self.metadata.probe.device))}",
            ]
        )

    @property
    def after(self) -> Calibration:
        """The calibration that is in force now."""
        return self.metadata.calibration

    def to_dict(self) -> dict[str, Any]:
        """File, rate, number of images and thresholds by head: plain values, for JSON."""
        return {
            "path": str(self.path),
            "alpha": self.after.alpha,
            "calibration_images": self.after.n,
            "guarantee": guarantee_text(self.metadata),
            "heads": {
                head: {"threshold_before": before, "threshold": now}
                for head, before, now in self._thresholds()
            },
        }

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each head: its threshold before and now.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        heads = self.to_dict()["heads"]
        return data_frame([{"head": name, **values} for name, values in heads.items()])

    def _by_class(self) -> list[str]:
        """A table of the thresholds that decide, where classes have their own."""
        if not self.after.per_class:
            return []
        names, primary = self.metadata.classes, self.metadata.primary
        of_both = self.after.class_counts, self.after.combined_class_counts
        counts = of_both[primary == COMBINED]
        limits = self.decision.limits(primary, np.arange(len(names)))
        rows = [
            (printable(name), str(images), f"{limit:.6g}")
            for name, images, limit in zip(names, counts, limits, strict=True)
        ]
        return [format_table(("predicted class", "images", f"threshold of {primary}"), rows)]

    def _thresholds(self) -> list[tuple[str, float | None, float]]:
        before = self.before.thresholds
        return [(head, before.get(head), now) for head, now in self.after.thresholds.items()]
