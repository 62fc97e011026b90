"""Image classifiers, one family per file.

A classifier is a trunk, which turns normalised images into spatially averaged features, and one or
two linear heads on the last of them. A family file writes a trunk and ends with
`FAMILY = ModelFamily(...)`, which says what names it answers.
"""

from edge_ood.errors import InputError
from edge_ood.models._classifier import (
    Classifier,
    IndependentHeads,
    MergedHeads,
    Trunk,
    merge_heads,
    scale_heads,
)
from edge_ood.models._families import (
    FAMILIES,
    ModelFamily,
    WholeNetworks,
    bind_model,
    build_trunk,
    family_of,
    model_families,
)
from edge_ood.models._input_check import check_input
from edge_ood.registry import Spec
from edge_ood.scores import PENULTIMATE

__all__ = [
    "FAMILIES",
    "PENULTIMATE",
    "Classifier",
    "IndependentHeads",
    "MergedHeads",
    "ModelFamily",
    "Trunk",
    "WholeNetworks",
    "bind_model",
    "build_classifier",
    "check_input",
    "family_of",
    "merge_heads",
    "model_families",
    "scale_heads",
]


def build_classifier(model: str | Spec, num_classes: int, *, heads: int = 1) -> Classifier:
    """An untrained classifier; its weights are drawn from torch's global generator.

    Args:
        model: A name with parameters, such as `wrn-40-2:dropout=0.2`.
        num_classes: K >= 2.
        heads: 1 or 2 independent linear heads.

    Raises:
        UnknownNameError: If the model or a parameter does not exist; the hint has the closest.
        InputError: If the heads, a parameter or a number inside the name is out of range.
    """
    if heads not in (1, 2) or num_classes < 2:
        raise InputError(
            f"{heads} heads over {num_classes} classes, expected 1 or 2 heads over 2 or more"
        )
    trunk = build_trunk(model)
    return Classifier(trunk, IndependentHeads(trunk.num_features, num_classes, heads))
