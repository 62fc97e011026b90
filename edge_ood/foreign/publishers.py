"""What a file says about who made it, where that settles how its network takes images."""

from dataclasses import replace
from typing import Any

import onnx

from edge_ood.foreign.conventions import ForeignClassifier

__all__ = ["as_published"]

_AUTHOR, _ULTRALYTICS = "author", "Ultralytics"
_TASK, _CLASSIFY = "task", "classify"


def as_published(
    source: ForeignClassifier, model: onnx.ModelProto
) -> tuple[ForeignClassifier, str]:
    """A description, completed by what the maker of the file always does.

    Args:
        source: As its owner describes it, which nothing overrides.
        model: With its metadata, which are untrusted: a claim changes no more than options can.

    Returns:
        The description, and a note; it is empty where nothing was added.

    Source: `ultralytics.data.augment.classify_transforms`: short side to S, centre, [0, 1].
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if properties.get(_AUTHOR) != _ULTRALYTICS or properties.get(_TASK) != _CLASSIFY:
        return source, ""
    own: dict[str, Any] = {"crop": 1.0, "interpolation": "bilinear"}
    if not source.mean:
        own["pixels"] = "unit"
    added = {name: value for name, value in own.items() if getattr(source, name) is None}
    said = " ".join(
        f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}"
        for name, value in added.items()
    )
    note = f"{said}, as ultralytics exports classifiers" if added else ""
    return replace(source, **added), note
