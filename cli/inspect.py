"""`edge-ood inspect`: what an artefact says about itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ood.cli._options import ArtifactArgument
from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_output
from edge_ood.files.plain_table import format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.artifact.calibration_record import ArchivedCalibration, Calibration
    from edge_ood.artifact.metadata import HeadRecord, Metadata
    from edge_ood.graph.budget import Part

__all__ = ["inspect", "report"]

_MOST_CLASSES = 20


def inspect(artifact: ArtifactArgument) -> None:
    """Show classes, preprocessing, heads, thresholds, history, and where the bytes are.

    A score's bytes are those that it adds alone: what several need counts for each of them.

    Example: edge-ood inspect exported/oe.onnx
    """
    from edge_ood.graph.budget import size_budget
    from edge_ood.graph.head_costs import added_bytes
    from edge_ood.graph.loading import load_model_file
    from edge_ood.runtime.scorer import Scorer

    expect_standard_output()
    metadata = Scorer(artifact, provider="cpu", calibrated=False).metadata
    added = added_bytes(load_model_file(artifact), metadata.head_names)
    say(f"{printable(str(artifact))}: {artifact.stat().st_size / 1e6:.2f} MB\n")
    say(report(metadata, added))
    if metadata.calibration.per_class:
        say(f"\n{_by_class(artifact, metadata)}")
    say(f"\n{_budget(size_budget(artifact, [head.name for head in metadata.heads]))}")


def report(metadata: "Metadata", added: Mapping[tuple[str, ...], int]) -> str:
    """Metadata as plain text: one line per fact, then tables of the heads and calibrations.

    Args:
        metadata: Of an artefact.
        added: Bytes that scores add to the network, by their names: each alone, and all together.
    """
    from edge_ood.foreign.inferred import inferred_from, inferred_text

    facts = {printable(name): printable(value) for name, value in _facts(metadata).items()}
    width = max(map(len, facts))
    lines = [f"{name:<{width}}  {value}".rstrip() for name, value in facts.items()]
    headings = ("head", "parameters", "threshold", "parity error", "bytes added")
    inferred = inferred_from(metadata.provenance)
    tables = [
        inferred_text(inferred) if inferred else "",
        format_table(headings, _heads(metadata, added)),
        _history(metadata),
    ]
    return "\n\n".join(["\n".join(lines), *filter(None, tables)])


def _facts(metadata: "Metadata") -> dict[str, str]:
    from edge_ood.artifact.guarantee_text import guarantee_text
    from edge_ood.artifact.probabilities_text import probabilities_text

    classes = ", ".join(metadata.classes[:_MOST_CLASSES])
    more = len(metadata.classes) - _MOST_CLASSES
    preprocess, calibration = metadata.preprocess, metadata.calibration
    return {
        "classes": f"{len(metadata.classes)}: {classes}" + (f", {more} more" if more > 0 else ""),
        "input": str(preprocess),
        "mean": _listed(preprocess.mean),
        "std": _listed(preprocess.std),
        "decides by": f"{metadata.primary}, at a false-alarm rate of {calibration.alpha:.3g}",
        "calibrated": f"{calibration.date} on {calibration.n} images" if calibration.n else "never",
        "guarantee": guarantee_text(metadata).replace("\n", "; "),
        "probabilities": probabilities_text(metadata),
        "precision": metadata.precision,
        **_compared(metadata.comparison),
        **{f"{role} images": str(images.count) for role, images in metadata.manifests.items()},
        **{
            f"made with {key}": _shown(value)
            for key, value in metadata.provenance.items()
            if key not in ("inferred", "temperature")
        },
        "edge-ood": metadata.version,
    }


def _compared(comparison: Mapping[str, Any]) -> dict[str, str]:
    """What conversion changed; like the parity report, no part of the metadata contract."""
    images, flips, speed = (comparison.get(k) for k in ("images", "label_flips", "speed"))
    if not isinstance(images, int) or not isinstance(flips, int) or not isinstance(speed, float):
        return {}
    changed = f"{flips} of {images} labels differ, {speed:.2f} x as fast where it was made"
    return {"against fp32": changed}


def _heads(metadata: "Metadata", added: Mapping[tuple[str, ...], int]) -> list[tuple[str, ...]]:
    errors = _parity_errors(metadata)
    rows: list[tuple[str, ...]] = [
        (
            head.name,
            printable(_shown(head.parameters)),
            f"{metadata.calibration.thresholds[head.name]:.6g}",
            errors.get(head.name, "-"),
            str(added[head.name,]),
        )
        for head in [*metadata.heads, *_combined(metadata)]
    ]
    together = str(added[metadata.head_names])
    return [*rows, ("all together", "-", "-", "-", together)] if len(rows) > 1 else rows


def _history(metadata: "Metadata") -> str:
    """Every calibration with the device that it is for, oldest first; the last is in force."""
    if not metadata.calibration.n:
        return ""
    states: tuple[Metadata | ArchivedCalibration, ...] = (*metadata.history, metadata)
    rows = [
        (c.calibration.date, _held(c.calibration), str(c.calibration.n), _device(c)) for c in states
    ]
    return format_table(("calibrated", "alpha", "images", "device"), rows)


def _held(calibration: "Calibration") -> str:
    """The rate, and in which sense it is held where that is not the plain one."""
    senses = {
        f"for {100 * calibration.confidence:.4g} %": calibration.confidence,
        "per class": calibration.per_class,
        "combined": calibration.combined,
        "manual thresholds": calibration.manual_thresholds,
    }
    return ", ".join(
        [f"{calibration.alpha:.3g}", *(sense for sense, held in senses.items() if held)]
    )


def _device(calibrated: "Metadata | ArchivedCalibration") -> str:
    """Files of earlier versions know the provider alone."""
    device = calibrated.probe.device
    return printable(
        str(device if device.provider else replace(device, provider=calibrated.provider))
    )


def _by_class(artifact: Path, metadata: "Metadata") -> str:
    """Thresholds of every score by predicted class, with the images that gave them."""
    import numpy as np

    from edge_ood.graph.decision import read_decision
    from edge_ood.graph.loading import load_model_file

    decision = read_decision(load_model_file(artifact), metadata.head_names)
    labels = np.arange(len(metadata.classes))
    columns = [[f"{limit:.6g}" for limit in decision.limits(s, labels)] for s in decision.outputs]
    counts = metadata.calibration.class_counts
    rows = list(zip(map(printable, metadata.classes), map(str, counts), *columns, strict=True))
    more = len(rows) - _MOST_CLASSES
    table = format_table(("predicted class", "images", *decision.outputs), rows[:_MOST_CLASSES])
    return f"{table}\n{more} more" if more > 0 else table


def _budget(parts: "Sequence[Part]") -> str:
    total = sum(part.size_bytes for part in parts)
    rows = [
        (part.name, str(part.nodes), str(part.size_bytes), f"{part.size_bytes / total:.1%}")
        for part in parts
    ]
    everything = ("file", str(sum(part.nodes for part in parts)), str(total), "100.0%")
    return format_table(("part", "nodes", "bytes", "share"), [*rows, everything])


def _combined(metadata: "Metadata") -> "list[HeadRecord]":
    """The combined score as one more head, whose parameter is what it combines."""
    from edge_ood.artifact.metadata import HeadRecord
    from edge_ood.calibration.combination import COMBINED

    guarantee = metadata.calibration.guarantee
    if not guarantee.combined:
        return []
    of = "+".join(guarantee.members([head.name for head in metadata.heads]))
    return [HeadRecord(COMBINED, {"of": of, "rule": guarantee.combined_rule})]


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


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={item}" for key, item in value.items()) or "-"
    return str(value)


def _listed(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)
