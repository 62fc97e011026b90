"""Why somebody else's classifier cannot have a head."""

from edge_ood.foreign.id_images import IdImages
from edge_ood.foreign.trial import Trial
from edge_ood.graph.endings import Ending
from edge_ood.scores import HEADS, ScoreHead

__all__ = ["missing_heads"]


def missing_heads(images: IdImages, ending: Ending, tried: Trial) -> dict[str, str]:
    """The heads that read what nothing gives, by name with the reason.

    Args:
        images: Without labels, no head can be fitted by class.
        ending: What was found in the graph.
        tried: What its output was found to hold.
    """
    heads: list[ScoreHead] = [HEADS.get(name) for name in HEADS.names()]
    reasons = {head.name: _missing(head, images, ending, tried) for head in heads}
    return {name: reason for name, reason in reasons.items() if reason}


def _missing(head: ScoreHead, images: IdImages, ending: Ending, tried: Trial) -> str:
    reads_logits = "logits" in head.inputs and not head.reads_probabilities
    if reads_logits and tried.gives != "logits":
        return f"{ending.output!r} holds {tried.gives}, and nothing in the file the logits"
    if head.fit and images.deciding.labels is None:
        return "it is fitted by class, and the images have no labels; give --id, or class folders"
    if "features" in head.inputs and not ending.features:
        return f"{ending.no_features}; --features NAME names a tensor to take for features"
    return ""
