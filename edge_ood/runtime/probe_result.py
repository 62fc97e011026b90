"""How far a device is from what an artefact's probe recorded, in numbers and words."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_ood.artifact.calibration_record import PROBE_IMAGES
from edge_ood.artifact.device import Device

__all__ = ["SEVEN_BITS", "ProbeResult"]

SEVEN_BITS = "avx2"
"""The target of int8 whose weights keep to 7 bits, so that nothing saturates."""


@dataclass(frozen=True)
class ProbeResult:
    """How far this device is from the recorded scores.

    Attributes:
        recorded: The device of the recorded scores.
        here: This one.
        precision: Of the artefact.
        wide_int8: Whether its weights are integers of all 8 bits, whose products may overflow.
        differences: Largest absolute difference by head.
        tolerances: Largest allowed difference by head.
        wrong_labels: Number of probe images whose label differs.
        wrong_pvalues: By head or `combined`, where the score is right: number of probe images whose
            p-value no score so close has.
        wrong_decisions: The same of decisions; of the primary score's, `is_ood` counts too.
    """

    recorded: Device
    here: Device
    precision: str
    wide_int8: bool
    differences: Mapping[str, float]
    tolerances: Mapping[str, float]
    wrong_labels: int
    wrong_pvalues: Mapping[str, int]
    wrong_decisions: Mapping[str, int]

    @property
    def failed_heads(self) -> tuple[str, ...]:
        """Heads outside their tolerance; NaN is outside."""
        return tuple(head for head, d in self.differences.items() if not d <= self.tolerances[head])

    @property
    def passed(self) -> bool:
        """Whether labels, scores, p-values and decisions are reproduced."""
        return not self.wrong

    @property
    def wrong(self) -> str:
        """What is not reproduced, in words; empty if all is."""
        labels = f"{self.wrong_labels} of {PROBE_IMAGES} labels" if self.wrong_labels else ""
        pvalues = [f"p-values of {name}" for name, count in self.wrong_pvalues.items() if count]
        decisions = [
            f"decisions of {name}" for name, count in self.wrong_decisions.items() if count
        ]
        return ", ".join(filter(None, [*self.failed_heads, labels, *pvalues, *decisions]))

    @property
    def cause(self) -> str:
        """The likely reason for a failure, in words."""
        if self.here == self.recorded:
            return "the scores were recorded on this device, so the file has changed since"
        if self.wide_int8 and self.here.saturates:
            return "int8 sums saturate on this processor, which is without VNNI"
        if self.wide_int8 and self.recorded.saturates:
            return "int8 sums saturated where the scores were recorded, without VNNI"
        return f"the scores were recorded on {self.recorded}, this is {self.here}"

    def remedy(self, artifact: Path) -> str:
        """What to do about a failure."""
        if self.here == self.recorded:
            return "restore the file, or export it again"
        here = f"edge-ood calibrate {artifact} ID_IMAGES sets thresholds that hold here"
        if self.wide_int8 and self.here.saturates:
            return f"export it again with --int8-target {SEVEN_BITS}, or: {here}"
        return here
