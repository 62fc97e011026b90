"""What to say of a head that decides and reads what training has not trained, or has blurred."""

from collections.abc import Sequence

from edge_ood.artifact.metadata import Metadata
from edge_ood.calibration.combination import COMBINED
from edge_ood.objectives import OBJECTIVES
from edge_ood.scores import HEADS
from edge_ood.training.settings import Settings

__all__ = ["smoothing_note", "unfit_head_note"]


def unfit_head_note(settings: Settings, primary: str | None) -> str:
    """About a chosen head that reads what the objective does not train; empty for others.

    Args:
        settings: Of the run.
        primary: What was asked for, if anything.
    """
    objective = settings.objective.name
    # This edge-ood may not have the objective of an older run.
    known = objective in OBJECTIVES.names()
    if not known or primary not in OBJECTIVES.get(objective).unfit_heads:
        return ""
    return (
        f"{primary!r} decides, and reads what objective {objective!r} does not train;"
        " let another score decide, with --primary"
    )


def smoothing_note(settings: Settings, metadata: Metadata) -> str:
    """About logits that label smoothing held back, where a decision is made of them.

    Args:
        settings: Of the run.
        metadata: What was exported; of several heads that decide together each counts.
    """
    if not settings.label_smoothing:
        return ""
    deciding: Sequence[str] = (metadata.primary,)
    if metadata.primary == COMBINED:
        deciding = metadata.calibration.guarantee.members([head.name for head in metadata.heads])
    reading = [name for name in deciding if "logits" in HEADS.get(name).inputs]
    if not reading:
        return ""
    return (
        f"trained with label smoothing {settings.label_smoothing:g}, which often ruins scores that"
        f" read logits, as {', '.join(reading)} {'does' if len(reading) == 1 else 'do'}: evaluate"
        " on OOD images, or let another score decide, with --primary"
    )
