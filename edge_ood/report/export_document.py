"""What the page about an artefact shows, as one document: from the file and its parity report.

`metadata` are the file's own, `parity` is its report; the rest is counted in the file, or follows
from them by the formulas of `edge_ood.calibration`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.artifact.calibration_record import ArchivedCalibration
from edge_ood.artifact.metadata import Metadata, write_metadata
from edge_ood.artifact.probabilities_text import probabilities_record
from edge_ood.artifact.reader import read_metadata
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.decision import Decision
from edge_ood.calibration.guarantee_sentences import rate_in_use
from edge_ood.errors import ArtifactError, InputError
from edge_ood.files.document import Document
from edge_ood.files.output import report_path
from edge_ood.files.paths import file_sha256
from edge_ood.graph.budget import size_budget
from edge_ood.graph.decision import read_decision
from edge_ood.graph.loading import load_model_file
from edge_ood.parity.comparison import Comparison, HeadChange
from edge_ood.parity.report import read_report
from edge_ood.report.export_choices import choices_of

__all__ = ["CalibrationScores", "Described", "calibration_scores", "describe"]

_PER = 1000
"""Images that false alarms are counted for."""

_LEVELS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001)
_TYPES = {
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.FLOAT: "float32",
}


@dataclass(frozen=True)
class Described:
    """An artefact as its page needs it.

    Attributes:
        document: Plain values, None for numbers that are not finite.
        metadata: Of the file.
        decision: As stored in its graph.
    """

    document: Mapping[str, Any]
    metadata: Metadata
    decision: Decision


@dataclass(frozen=True)
class CalibrationScores:
    """Calibration scores of the images that one threshold comes from, as far as a file keeps them.

    Attributes:
        values: Ascending (M,).
        levels: Share (M,) of those images that score at most so high.
        threshold: What flags above it.
        name: The predicted class; empty where all share the threshold.
    """

    values: NDArray[np.float32]
    levels: NDArray[np.float64]
    threshold: float
    name: str = ""


def describe(path: Path) -> Described:
    """Read an artefact, and the parity report beside it if there is one.

    Raises:
        ArtifactError: If the file is not written by edge-ood, damaged or was never calibrated, or
            the report is damaged.
        DataError: If the file cannot be read.
    """
    model = load_model_file(path)
    metadata = read_metadata({p.key: p.value for p in model.metadata_props}, source=str(path))
    if not metadata.calibration.n:
        raise ArtifactError(
            f"'{path}' was never calibrated", hint="edge-ood calibrate FILE.onnx ID_IMAGES"
        )
    decision = read_decision(model, metadata.head_names)
    states: list[Metadata | ArchivedCalibration] = [*metadata.history, metadata]
    parts = size_budget(path, [head.name for head in metadata.heads])
    comparison = _comparison(metadata)
    document = {
        "file": _file(path),
        "inputs": [_value(value) for value in model.graph.input],
        "outputs": [_value(value) for value in model.graph.output],
        "metadata": json.loads(write_metadata(metadata)),
        "parts": [asdict(part) for part in parts],
        "parity": read_report(report_path(path)),
        "scores": [_score(metadata, name) for name in decision.outputs],
        "classes": list(_classes(metadata, decision)),
        "pvalues": _pvalues(metadata, decision),
        "choices": choices_of(metadata),
        "probabilities": probabilities_record(metadata),
        "comparison": comparison and comparison.to_json(),
        "warnings": comparison.warnings(metadata.precision) if comparison else [],
        "calibrations": [_calibration(state) for state in states],
    }
    return Described({**document, "worst": _worst(document["parity"])}, metadata, decision)


def calibration_scores(described: Described, score: str) -> list[CalibrationScores]:
    """The calibration scores behind every threshold of a score; none where the file lacks them."""
    metadata, decision = described.metadata, described.decision
    calibration = metadata.calibration
    sample = calibration.combined_sample if score == COMBINED else calibration.sample
    own = calibration.guarantee.own_classes(sample.class_counts).tolist()
    # Classes without a threshold of their own share the first, which comes from all images.
    groups = [(name, label, sample.class_counts[label]) for label, name in _named(metadata, own)]
    if len(own) < len(metadata.classes):
        first = next(i for i in range(len(metadata.classes)) if i not in set(own))
        groups = [("all others" if own else "", first, sample.n), *groups]
    found = []
    for name, label, n in groups:
        kept = decision.kept_scores(score, label, n, calibration.guarantee)
        if kept is not None:
            limit = float(decision.limits(score, np.array([label]))[0])
            found.append(CalibrationScores(*kept, limit, name))
    return found


def _named(metadata: Metadata, labels: Sequence[int]) -> Iterator[tuple[int, str]]:
    yield from ((label, metadata.classes[label]) for label in labels)


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "sha256": file_sha256(path), "n_bytes": path.stat().st_size}


def _value(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "type": _TYPES.get(tensor.elem_type, "another"),
        "shape": [size.dim_param or size.dim_value for size in tensor.shape.dim],
    }


def _score(metadata: Metadata, name: str) -> dict[str, Any]:
    """One score: its threshold, and how many false alarms to expect of it."""
    calibration = metadata.calibration
    sample = calibration.combined_sample if name == COMBINED else calibration.sample
    is_manual = name in calibration.manual_thresholds
    per_thousand = None
    if not (is_manual or calibration.per_class):
        rate = rate_in_use(calibration.guarantee, sample.n)
        per_thousand = {key: _PER * value for key, value in asdict(rate).items()}
    return {
        "name": name,
        "threshold": calibration.thresholds[name],
        "manual": is_manual,
        "images": sample.n,
        "per_thousand": per_thousand,
    }


def _classes(metadata: Metadata, decision: Decision) -> Iterator[dict[str, Any]]:
    """Per predicted class, where the rate is held within each: thresholds and false alarms."""
    calibration = metadata.calibration
    own = set(calibration.guarantee.own_classes(calibration.class_counts).tolist())
    for label, count in enumerate(calibration.class_counts):
        rate = rate_in_use(calibration.guarantee, count) if label in own else None
        limits = {s: float(decision.limits(s, np.array([label]))[0]) for s in decision.outputs}
        yield {
            "name": metadata.classes[label],
            "images": count,
            "rate": rate and asdict(rate),
            "thresholds": limits,
        }


def _pvalues(metadata: Metadata, decision: Decision) -> list[dict[str, Any]]:
    """From which score of the deciding head on a p-value is so small, where all classes share it.

    The last is the smallest p-value that there is.
    """
    table = decision.table_of(metadata.primary)
    if table.num_groups > 1:
        return []
    pvalues = table.pvalues[0]
    knots = table.knots[table.heads.index(metadata.primary), 0]
    # The smallest and alpha come first, as they stand for any other level at the same score.
    levels = dict.fromkeys([float(pvalues[0]), metadata.calibration.alpha, *_LEVELS])
    found: dict[float, dict[str, float]] = {}
    for level in levels:
        # With j of the M knots reached the p-value is pvalues[j]; at most j are from above
        # knots[M - 1 - j] on.
        most = int(np.searchsorted(pvalues, np.float32(level), "right")) - 1
        if 0 <= most < len(knots):
            above = float(knots[len(knots) - 1 - most])
            found.setdefault(above, {"level": level, "above": above})
    return sorted(found.values(), key=lambda row: -row["level"])


def _comparison(metadata: Metadata) -> Comparison | None:
    """How a converted classifier differs from float32; None of what edge-ood did not write."""
    try:
        found = Document(dict(metadata.comparison))
        heads = [
            HeadChange(
                head.get("head", str),
                *(head.get(n, float) for n in ("rank_correlation", "flips_before", "flips_after")),
            )
            for head in found.documents("heads")
        ]
        if found.get("images", int) < 1 or found.get("speed", float) <= 0:
            return None
        return Comparison(
            found.get("images", int),
            found.get("label_flips", int),
            found.get("logits_error", float),
            tuple(heads),
            found.get("size_bytes", int),
            found.get("float32_bytes", int),
            found.get("speed", float),
        )
    except InputError:
        return None


def _calibration(state: Metadata | ArchivedCalibration) -> dict[str, Any]:
    calibration = state.calibration
    return {
        "date": calibration.date,
        "alpha": calibration.alpha,
        "confidence": calibration.confidence,
        "per_class": calibration.per_class,
        "manual": list(calibration.manual_thresholds),
        "images": calibration.n,
        "device": str(state.probe.device),
    }


def _worst(parity: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """For every output that may be off, the case nearest to its limit, the nearest output first."""
    found = []
    for output in parity["outputs"] if parity else []:
        cases = [case for batch in output["batches"] for case in batch["worst"]]
        off = [c for c in cases if c["allowed"] and c["error"] is not None]
        if off:
            case = max(off, key=lambda c: float(c["error"] / c["allowed"]))
            share = case["error"] / case["allowed"]
            found.append({"output": output["output"], **case, "share": share})
    return sorted(found, key=lambda case: -case["share"])
