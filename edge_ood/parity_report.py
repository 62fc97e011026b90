"""The parity report: what a file was compared with, on which images, and where it is furthest off.

It is JSON and lies beside the artefact, `x.parity.json` beside `x.onnx`; docs/parity-report.md
says what its keys mean. The metadata of the artefact hold a summary.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_ood.artifact import Metadata
from edge_ood.parity import ParityReport

__all__ = ["REPORT_FORMAT", "parity_document", "write_report"]

REPORT_FORMAT = 1
_WORST = 3
"""Images named for each output at each batch size."""


def parity_document(
    report: ParityReport, metadata: Metadata, hashes: Mapping[str, str], artefact: Path
) -> dict[str, Any]:
    """The report as JSON values.

    Args:
        report: What the gate found.
        metadata: Of the finished artefact.
        hashes: Content hashes of the real images, by name; those without one were made up.
        artefact: The finished artefact, perhaps under a temporary name.
    """
    with artefact.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    outputs = dict.fromkeys(compared.output for compared in report.compared)
    return {
        "format": REPORT_FORMAT,
        "version": metadata.version,
        "sha256": digest,
        "precision": metadata.precision,
        "device": asdict(metadata.probe.device),
        "reference": report.reference,
        "images": [{"image": image, "content_hash": hashes.get(image)} for image in report.names],
        "outputs": [{"output": o, "batches": _batches(report, o)} for o in outputs],
        "resizing": {
            "decisions": report.resized_decisions,
            "flips": [{"output": output, "image": image} for output, image in report.resized],
        },
        "gradients": [gradient.to_json() for gradient in report.gradients],
        "comparison": metadata.comparison,
    }


def write_report(path: Path, document: Mapping[str, Any]) -> None:
    """Write a report; numbers that are not finite, for which JSON has no word, become null."""
    text = json.dumps(_finite(document), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", "utf-8")


def _batches(report: ParityReport, output: str) -> list[dict[str, Any]]:
    """The worst images of one output by batch size; of decisions also how many flipped."""
    return [
        {
            "batch": compared.batch,
            **({} if compared.flips is None else {"flips": compared.flips}),
            "worst": [
                {"image": case.image, "error": case.error, "allowed": case.allowed}
                for case in compared.worst(report.names, _WORST)
            ],
        }
        for compared in report.compared
        if compared.output == output
    ]


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
