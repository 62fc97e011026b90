"""`edge-ood inspect`: what an artefact says about itself."""

from typing import TYPE_CHECKING

import typer

from edge_ood.cli._options import Artefact
from edge_ood.cli._table import format_table

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
        typer.echo(f"{name:<{width}}  {value}")
    typer.echo("")
    typer.echo(format_table(("head", "parameters", "threshold", "parity error"), _heads(metadata)))


def _facts(metadata: "Metadata") -> dict[str, str]:
    classes = ", ".join(metadata.classes[:_MOST_CLASSES])
    more = len(metadata.classes) - _MOST_CLASSES
    preprocess, calibration = metadata.preprocess, metadata.calibration
    made_from = {key: str(value) for key, value in metadata.provenance.items()}
    images = {role: f"{m.count} images" for role, m in metadata.manifests.items()}
    earlier = [f"{c.date}: alpha {c.alpha:.3g}, {c.n} images" for c in metadata.history]
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
    differences = metadata.parity.get("differences", [])
    errors = {d.get("output"): d.get("error") for d in differences if isinstance(d, dict)}
    rows = []
    for head in metadata.heads:
        parameters = ",".join(f"{k}={v}" for k, v in head.parameters.items()) or "-"
        error = errors.get(head.name)
        shown = f"{error:.1e}" if isinstance(error, float) else "-"
        threshold = f"{metadata.calibration.thresholds[head.name]:.6g}"
        rows.append((head.name, parameters, threshold, shown))
    return rows
