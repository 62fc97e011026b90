"""What an artefact with two heads says about images, made by hand."""

import numpy as np

from edge_ood.evaluation.scored import Scored

__all__ = ["HEADS", "answers"]

HEADS = ("energy", "msp")


def answers(scores: list[float]) -> Scored:
    """An artefact's answers with these scores for both heads, flagged above 0.5."""
    values = dict.fromkeys(HEADS, np.float32(scores))
    return Scored(
        names=tuple(map(str, scores)),
        classes=("ant", "bee"),
        label_index=np.arange(len(scores)) % 2,
        confidence=np.linspace(0.6, 0.9, len(scores)),
        scores=values,
        pvalues=values,
        decisions={head: found > 0.5 for head, found in values.items()},
    )
