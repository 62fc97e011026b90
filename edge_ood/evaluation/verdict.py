"""What an artefact does as it ships, in counts of 100 images."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_ood.evaluation.results import ArtifactResult

__all__ = ["verdict"]

_OF = 100


def verdict(model: "ArtifactResult") -> str:
    """One sentence: ID images that pass beside what was guaranteed, OOD images caught, labels.

    Groups of OOD sets are near and far, and all where there are neither; each is a mean over its
    sets. Rates are rounded to whole images of 100, but never to none or all.

    Args:
        model: As measured.
    """
    head = model.primary
    passing = f"of {_OF} ID images {_count(model.id.heads[head].realised_tpr)} pass"
    if not math.isnan(model.alpha):
        passing += f", {_count(1 - model.alpha)} promised"
    parts = [passing]
    groups = [name for name in ("near", "far") if name in model.groups]
    for name in groups or [name for name in ("all",) if name in model.groups]:
        kind = "" if name == "all" else f"{name} "
        rate = model.groups[name].metrics[head].flagged
        parts.append(f"of {_OF} {kind}OOD images {_count(rate)} are caught")
    if model.id.is_labelled:
        parts.append(f"of {_OF} ID images {_count(model.id.accuracy)} get the right label")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _count(rate: float) -> str:
    """Whole images of 100."""
    count = round(_OF * rate)
    if count == 0 and rate > 0:
        return "fewer than 1"
    if count == _OF and rate < 1:
        return f"more than {_OF - 1}"
    return str(count)
