"""What was chosen about an artefact on training images, as the page about it shows it."""

from collections.abc import Mapping
from typing import Any

from edge_ood.artifact.metadata import Metadata
from edge_ood.errors import InputError
from edge_ood.files.document import Document

__all__ = ["choices_of"]


def choices_of(metadata: Metadata) -> dict[str, Any]:
    """What was chosen on training images, by head; nothing that is not as edge-ood writes it."""
    found: dict[str, Any] = {}
    try:
        chosen = Document(dict(metadata.provenance)).get("choices", dict, {})
        for head, choice in Document(chosen).inner().items():
            parts = {
                name: read(choice.document(name))
                for name, read in _READERS.items()
                if choice.get(name, dict, {})
            }
            found[head] = {name: part for name, part in parts.items() if all(_numbers(part))}
    except (InputError, ValueError):  # the latter where an epsilon is no number
        return {}
    return found


def _numbers(part: Mapping[str, Any]) -> list[Mapping[str, float]]:
    """What a figure would draw of a choice."""
    return [value for value in part.values() if isinstance(value, Mapping)]


def _primary(choice: Document) -> dict[str, Any]:
    """Why a score decides, and a table of what speaks for each, where it was looked at."""
    rows = choice.get("auroc", dict, {})
    aurocs = {name: row.mapped(float) for name, row in Document(rows).inner().items()}
    if len({tuple(row) for row in aurocs.values()}) > 1:
        raise InputError("not all scores were compared on the same groups")
    return {"why": choice.get("why", str), **({"auroc": aurocs} if aurocs else {})}


def _epsilon(choice: Document) -> dict[str, Any]:
    curve = {f"{float(key):g}": value for key, value in choice.mapping("curve", float).items()}
    return {
        "epsilon": choice.get("epsilon", float),
        "criterion": choice.get("criterion", str),
        "curve": curve,
        "at_end": choice.get("at_end", bool),
        "kept_default": choice.get("kept_default", bool, default=False),
    }


def _weights(choice: Document) -> dict[str, Any]:
    return {"source": choice.get("source", str), "by_layer": choice.mapping("by_layer", float)}


def _rank(choice: Document) -> dict[str, Any]:
    return {"rank": choice.get("rank", int), "explained": choice.mapping("explained", float)}


_READERS = {"primary": _primary, "epsilon": _epsilon, "weights": _weights, "rank": _rank}
