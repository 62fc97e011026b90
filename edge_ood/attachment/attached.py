"""`Attached`: the typed result of making an artefact."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ood.artifact.metadata import Metadata
from edge_ood.attachment.text import attached_text, choice_warnings
from edge_ood.files.plain_table import data_frame
from edge_ood.parity.comparison import Comparison
from edge_ood.parity.differences import ParityReport

__all__ = ["Attached"]


@dataclass(frozen=True)
class Attached:
    """A finished artefact: where it is, how it was calibrated, and how close it is to what.

    `print` shows what the command shows.

    Attributes:
        path: The file.
        metadata: What it holds: classes, preprocessing, heads, calibration, provenance.
        parity: How far its outputs are from the reference, and how far they may be.
        comparison: With the same file in float32; None unless the network was converted.
    """

    path: Path
    metadata: Metadata
    parity: ParityReport
    comparison: Comparison | None = None

    def __str__(self) -> str:
        return attached_text(self.path, self.metadata, self.parity, self.comparison)

    @property
    def warnings(self) -> list[str]:
        """What should make you look twice, one sentence each."""
        of_training = self.metadata.provenance.get("warning")
        found = [*([str(of_training)] if of_training else []), *choice_warnings(self.metadata)]
        found += self.parity.notes
        if self.comparison is not None:
            found += self.comparison.warnings(self.metadata.precision)
        return found

    def to_dict(self) -> dict[str, Any]:
        """File, classes, rate and, by head, threshold and parity: plain values, for JSON."""
        calibration = self.metadata.calibration
        errors = {d.output: d for d in self.parity.differences}
        return {
            "path": str(self.path),
            "classes": list(self.metadata.classes),
            "primary": self.metadata.primary,
            "precision": self.metadata.precision,
            "alpha": calibration.alpha,
            "calibration_images": calibration.n,
            "heads": {
                head: {
                    "threshold": threshold,
                    "parity_error": errors[head].error,
                    "parity_allowed": errors[head].allowed,
                }
                for head, threshold in calibration.thresholds.items()
            },
        }

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each head: threshold, parity error, what is allowed.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        heads = self.to_dict()["heads"]
        return data_frame([{"head": name, **values} for name, values in heads.items()])
