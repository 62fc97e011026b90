"""What an artefact's calibration promises, as every command and every page says it."""

from edge_ood.artifact.metadata import Metadata
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.statement import own_threshold_statement, statement
from edge_ood.files.text import printable

__all__ = ["promise"]


def promise(metadata: Metadata) -> str:
    """One line, or several where scores differ in what holds for them."""
    calibration = metadata.calibration
    if not calibration.n:
        return "nothing: it was never calibrated"
    classes = [printable(name) for name in metadata.classes]
    lines = [statement(calibration.guarantee, calibration.sample, classes)]
    if calibration.combined:
        of_half = statement(calibration.guarantee, calibration.combined_sample, classes)
        lines.append(f"{COMBINED}, by the images that do not fix its p-values: {of_half}")
    if calibration.own_thresholds:
        lines.append(own_threshold_statement(calibration.own_thresholds))
    return "\n".join(lines)
