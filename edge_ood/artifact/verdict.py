"""What an artefact says about one image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_ood.artifact.contract import decision_of, pvalue_of
from edge_ood.files.stored import AnyImage
from edge_ood.files.text import printable

__all__ = ["Verdict"]


@dataclass(frozen=True)
class Verdict:
    """What the artefact says about one image.

    Attributes:
        label: Name of the predicted class.
        is_ood: The decision of the primary head.
        pvalue: Of the primary head, in (0, 1]; compare with an alpha of your own in float32.
        scores: By head; larger is more out-of-distribution.
        pvalues: By head.
        decisions: By head.
        path: The file; None for an array.
    """

    label: str
    is_ood: bool
    pvalue: np.float32
    scores: Mapping[str, np.float32]
    pvalues: Mapping[str, np.float32]
    decisions: Mapping[str, bool]
    path: AnyImage | None = None

    def __str__(self) -> str:
        decision = "flagged as out-of-distribution" if self.is_ood else "accepted"
        return f"{printable(self.label)}, {decision}, p = {self.pvalue:.4g}"

    def __repr__(self) -> str:
        scores = ", ".join(f"{head!r}: {score:.4g}" for head, score in self.scores.items())
        return (
            f"Verdict(label={self.label!r}, is_ood={self.is_ood}, "
            f"pvalue={self.pvalue:.4g}, scores={{{scores}}})"
        )

    def to_dict(self) -> dict[str, Any]:
        """The cells of a score table by column, as plain values; the path where there is one."""
        cells: dict[str, Any] = {} if self.path is None else {"path": str(self.path)}
        cells |= {"label": self.label, "is_ood": self.is_ood, "pvalue": float(self.pvalue)}
        for head, score in self.scores.items():
            cells[head] = float(score)
            cells[pvalue_of(head)] = float(self.pvalues[head])
            cells[decision_of(head)] = self.decisions[head]
        return cells
