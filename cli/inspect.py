"""`edge-ood inspect`: what an artefact says about itself."""

from typing import TYPE_CHECKING

import typer

from edge_ood.cli._options import Artefact
from edge_ood.cli._table import format_table
from edge_ood.text import printable

if TYPE_CHECKING:
    from edge_ood.artifact import Metadata

__all__ = ["inspect"]

_MOST_CLASSES = 20


def inspect(artefact: Artefact) -> None:
    """Show classes, preprocessing, heads, thresholds, calibration history and parity.

    Example: edge-ood inspect exported/oe.onnx
    """
    from edge_ood.runtime import Scorer

    metadata = Scorer(artefact, provider="cpu").metadata
    facts = {"file": f"{artefact}, {artefact.stat().st_size / 1e6:.2f} MB", **_facts(metadata)}
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{printable(name):<{width}}  {printable(value)}")
    typer.echo("")
    typer.echo(format_table(("head", "parameters", "threshold", "parity error"), _heads(metadata)))


def _facts(metadata: "Metadata") -> dict[str, str]:
    classes = ", ".join(metadata.classes[:_MOST_CLASSES])
    more = len(metadata.classes) - _MOST_CLASSES
    preprocess, calibration = metadata.preprocess, metadata.calibration
    made_from = {key: str(value) for key, value in metadata.provenance.items()}
    images = {role: f"{m.count} images" for role, m in metadata.manifests.items()}
    past = [earlier.calibration for earlier in metadata.history]
    earlier = [f"{c.date}: alpha {c.alpha:.3g}, {c.n} images" for c in past]
    return {
        "classes": f"{len(metadata.classes)}: {classes}" + (f", {more} more" if more > 0 else ""),
        "input": f"{preprocess.size_px} x {preprocess.size_px} px, {preprocess.resize}",
        "decides by": f"{metadata.primary}, at a false-alarm rate of {calibration.alpha:.3g}",
        "calibrated": f"{calibration.date} on {calibration.n} images",
        "earlier": "; ".join(earlier) or "none",
        "precision": f"{metadata.precision}, calibrated on {metadata.provider}",
        **made_from,
        **images,
        "edge-ood": metadata.version,
    }


def _heads(metadata: "Metadata") -> list[tuple[str, str, str, str]]:
    errors = _parity_errors(metadata)
    rows = []
    for head in metadata.heads:
        parameters = ",".join(f"{k}={v}" for k, v in head.parameters.items()) or "-"
        threshold = f"{metadata.calibration.thresholds[head.name]:.6g}"
        rows.append((head.name, printable(parameters), threshold, errors.get(head.name, "-")))
    return rows


def _parity_errors(metadata: "Metadata") -> dict[str, str]:
    """By output; the report is for people, so its shape is not part of the metadata contract."""
    differences = metadata.parity.get("differences")
    found = [d for d in differences if isinstance(d, dict)] if isinstance(differences, list) else []
    return {
        str(difference.get("output")): f"{error:.1e}"
        for difference in found
        for error in [difference.get("error")]
        if isinstance(error, float)
    }
