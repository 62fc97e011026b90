"""What an artefact's calibration guarantees, as every command and every page says it."""

from edge_ood.artifact.metadata import Metadata
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.guarantee_sentences import guarantee_sentence, manual_threshold_sentence
from edge_ood.files.text import printable

__all__ = ["guarantee_text"]


def guarantee_text(metadata: Metadata) -> str:
    """One line, or several where scores differ in what holds for them; what decides comes first."""
    calibration = metadata.calibration
    if not calibration.n:
        return "nothing: it was never calibrated"
    classes = [printable(name) for name in metadata.classes]
    manual = calibration.manual_thresholds
    held = {head.name for head in metadata.heads} - set(manual)
    lines = []
    if held:
        others = "the other scores: " if metadata.primary in manual else ""
        sentence = guarantee_sentence(calibration.guarantee, calibration.sample, classes)
        lines.append(f"{others}{sentence}")
    if calibration.combined and COMBINED not in manual:
        of_half = guarantee_sentence(calibration.guarantee, calibration.combined_sample, classes)
        lines.append(f"{COMBINED}, by the images that do not fix its p-values: {of_half}")
    if manual:
        said = manual_threshold_sentence(manual)
        lines = [said, *lines] if metadata.primary in manual else [*lines, said]
    return "\n".join(lines)
