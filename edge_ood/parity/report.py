"""The parity report: what a file was compared with, on which images, and where it is furthest off.

It is JSON and lies beside the artefact, `x.parity.json` beside `x.onnx`; docs/parity-report.md
says what its keys mean. The metadata of the artefact hold a summary; the page about the artefact
reads the report.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_ood.artifact.metadata import Metadata
from edge_ood.files.document import Document, plain_values, read_document
from edge_ood.files.paths import file_sha256
from edge_ood.parity.differences import ParityReport

__all__ = ["REPORT_FORMAT", "parity_document", "read_report", "write_report"]

REPORT_FORMAT = 1
_WORST = 3
"""Images named for each output at each batch size."""


def parity_document(
    report: ParityReport, metadata: Metadata, hashes: Mapping[str, str], artifact: Path
) -> dict[str, Any]:
    """The report as JSON values.

    Args:
        report: What the gate found.
        metadata: Of the finished artefact.
        hashes: Content hashes of the real images, by name; those without one were made up.
        artifact: The finished artefact, perhaps under a temporary name.
    """
    outputs = dict.fromkeys(compared.output for compared in report.compared)
    return {
        "format": REPORT_FORMAT,
        "version": metadata.version,
        "sha256": file_sha256(artifact),
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
        "not_finite": [{"output": output, "image": image} for output, image in report.not_finite],
        "comparison": metadata.comparison,
    }


def write_report(path: Path, document: Mapping[str, Any]) -> None:
    """Write a report; numbers that are not finite, for which JSON has no word, become null."""
    text = json.dumps(plain_values(document), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", "utf-8")


def read_report(path: Path) -> dict[str, Any] | None:
    """What a page shows of a report, checked; None where there is no such file.

    Returns:
        `sha256`, `reference`, `images`, `outputs`, `resizing` and `gradients` of the document.

    Raises:
        ArtifactError: If the file is damaged or from a newer edge-ood.
    """
    return read_document(path, _checked, newest=REPORT_FORMAT, hint="export again")


def _checked(document: Document) -> dict[str, Any]:
    resizing = document.document("resizing")
    return {
        "sha256": document.get("sha256", str),
        "reference": document.get("reference", str),
        "images": [
            {"image": i.get("image", str), "content_hash": i.optional("content_hash", str)}
            for i in document.documents("images")
        ],
        "outputs": [
            {
                "output": output.get("output", str),
                "batches": [_checked_batch(batch) for batch in output.documents("batches")],
            }
            for output in document.documents("outputs")
        ],
        "resizing": {
            "decisions": resizing.get("decisions", int),
            "flips": [
                {"output": flip.get("output", str), "image": flip.get("image", str)}
                for flip in resizing.documents("flips")
            ],
        },
        "gradients": [
            {
                "head": gradient.get("head", str),
                **{name: gradient.get(name, int) for name in ("images", "compared", "kinks")},
                **{name: gradient.get(name, float) for name in ("worst", "allowed")},
            }
            for gradient in document.documents("gradients")
        ],
    }


def _checked_batch(batch: Document) -> dict[str, Any]:
    return {
        "batch": batch.get("batch", int),
        "flips": batch.optional("flips", int),
        "worst": [
            {
                "image": case.get("image", str),
                **{name: case.optional(name, float) for name in ("error", "allowed")},
            }
            for case in batch.documents("worst")
        ],
    }


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
