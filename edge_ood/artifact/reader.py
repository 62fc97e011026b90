"""Reading an artefact's metadata: a file is untrusted until it passed through here."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from edge_ood.artifact.calibration_record import (
    ArchivedCalibration,
    Calibration,
    Probe,
    ProbeVerdicts,
)
from edge_ood.artifact.device import Device
from edge_ood.artifact.metadata import FORMAT, METADATA_KEY, HeadRecord, Metadata
from edge_ood.artifact.packed import Manifest, PackedArray, unpack_numbers
from edge_ood.calibration.combination import RULES
from edge_ood.calibration.decision import Decision
from edge_ood.calibration.decision_table import DecisionTable
from edge_ood.calibration.threshold import Knots, pvalues_of_weights
from edge_ood.errors import ArtifactError, EdgeOodError, InputError
from edge_ood.files.document import Document, newer_format
from edge_ood.images.preprocess import Preprocess

__all__ = ["read_metadata"]

_FIRST_WITH_CROP = 3
"""Files of earlier formats take the whole square, bilinear."""


def read_metadata(properties: Mapping[str, str], *, source: str) -> Metadata:
    """Read and check the metadata of an ONNX file; unknown keys are ignored.

    Args:
        properties: The file's custom metadata.
        source: What messages call the file.

    Raises:
        ArtifactError: If the file is no artefact, too new or damaged.
    """
    if METADATA_KEY not in properties:
        raise ArtifactError(
            f"'{source}' is an ONNX file, but not an edge-ood artefact",
            hint="'edge-ood attach' makes one of an ONNX classifier, 'edge-ood export' of a run",
        )
    try:
        document = Document.parse(properties[METADATA_KEY])
        number = document.get("format", int)
        if number <= FORMAT:
            return _metadata(document, number)
        version = document.get("version", str, "")
    except EdgeOodError as error:
        raise ArtifactError(
            f"the metadata of '{source}' is damaged: {error}", hint="export it again"
        ) from error
    raise newer_format(source, number, FORMAT, version=version)


def _metadata(document: Document, number: int) -> Metadata:
    if number < 1:
        raise InputError(f"artefact format {number}, expected 1 to {FORMAT}")
    classes = tuple(document.each("classes", str))
    archived = _archived if number > 1 else partial(_archived_in_format_1, num_classes=len(classes))
    return Metadata(
        classes=classes,
        preprocess=_preprocess(document.document("preprocess"), number),
        heads=tuple(
            HeadRecord(head.get("name", str), head.get("parameters", dict))
            for head in document.documents("heads")
        ),
        primary=document.get("primary", str),
        calibration=_calibration(document.document("calibration")),
        manifests={
            role: _manifest(manifest)
            for role, manifest in document.document("manifests").inner().items()
        },
        probe=_probe(document.document("probe")),
        parity=document.get("parity", dict),
        precision=document.get("precision", str),
        comparison=document.get("comparison", dict, {}),
        provider=document.get("provider", str),
        provenance=document.get("provenance", dict),
        history=tuple(archived(item) for item in document.documents("history")),
        version=document.get("version", str),
        temperature=document.get("temperature", float, 1.0),
    )


def _preprocess(document: Document, number: int) -> Preprocess:
    is_whole = number < _FIRST_WITH_CROP
    return Preprocess(
        size_px=document.get("size_px", int),
        mean=tuple(document.each("mean", float)),  # type: ignore[arg-type]  # length checked
        std=tuple(document.each("std", float)),  # type: ignore[arg-type]  # length checked
        resize=document.get("resize", str),
        draft=document.get("draft", bool),
        crop=Preprocess.crop if is_whole else document.get("crop", float),
        interpolation=(
            Preprocess.interpolation if is_whole else document.get("interpolation", str)
        ),
    )


def _calibration(document: Document) -> Calibration:
    combined = document.get("combined", bool, default=False)
    return Calibration(
        alpha=document.get("alpha", float),
        n=document.get("n", int),
        thresholds=document.mapping("thresholds", float),
        date=document.get("date", str),
        confidence=document.get("confidence", float, 0.0),
        per_class=document.get("per_class", bool, default=False),
        class_counts=tuple(document.each("class_counts", int, [])),
        manual_thresholds=tuple(document.each("own_thresholds", str, [])),
        combined=combined,
        combined_n=document.get("combined_n", int, 0),
        combined_class_counts=tuple(document.each("combined_class_counts", int, [])),
        combined_of=tuple(document.each("combined_of", str, [])),
        # Files of earlier versions, which do not say so, have the largest surprise.
        combined_rule=document.get("combined_rule", str, "largest" if combined else RULES[0]),
    )


def _archived(document: Document) -> ArchivedCalibration:
    return ArchivedCalibration(
        calibration=_calibration(document.document("calibration")),
        images=_manifest(document.document("images")),
        provider=document.get("provider", str),
        heads=tuple(document.each("heads", str)),
        arrays={
            name: PackedArray(tuple(array.each("shape", int)), array.get("values", str))
            for name, array in document.document("arrays").inner().items()
        },
        probe=_probe(document.document("probe")) if document.get("probe", dict, {}) else Probe(0),
    )


def _archived_in_format_1(document: Document, num_classes: int) -> ArchivedCalibration:
    """Knots by head, one threshold each, and weights that they share."""
    calibration = _calibration(document.document("calibration"))
    pvalues = pvalues_of_weights(unpack_numbers(document.get("weights", str)), calibration.n)
    values = {h: unpack_numbers(text) for h, text in document.mapping("knots", str).items()}
    lengths = {len(numbers) for numbers in values.values()}
    if set(values) != set(calibration.thresholds) or lengths != {len(pvalues) - 1}:
        raise InputError(f"an earlier calibration has damaged knots for {sorted(values)}")
    knots = {h: [Knots(v, pvalues, calibration.thresholds[h])] for h, v in values.items()}
    return ArchivedCalibration.of(
        calibration,
        _manifest(document.document("images")),
        document.get("provider", str),
        Decision(DecisionTable.of(knots, np.zeros(num_classes))),
    )


def _manifest(document: Document) -> Manifest:
    return Manifest(document.get("count", int), document.get("hashes", str))


def _probe(document: Document) -> Probe:
    scores = document.document("scores")
    return Probe(
        seed=document.get("seed", int),
        labels=tuple(document.each("labels", int)),
        scores={name: scores.each(name, float) for name in document.get("scores", dict)},
        tolerances=document.mapping("tolerances", float),
        device=_device(document),
        verdicts=_verdicts(document),
    )


def _verdicts(probe: Document) -> dict[str, ProbeVerdicts]:
    if not probe.get("verdicts", dict, {}):
        return {}  # in files of earlier versions
    return {
        name: ProbeVerdicts(
            least_pvalues=tuple(found.each("least_pvalues", float)),
            greatest_pvalues=tuple(found.each("greatest_pvalues", float)),
            least_decisions=tuple(found.each("least_decisions", bool)),
            greatest_decisions=tuple(found.each("greatest_decisions", bool)),
        )
        for name, found in probe.document("verdicts").inner().items()
    }


def _device(probe: Document) -> Device:
    if not probe.get("device", dict, {}):
        return Device()  # in files of earlier versions
    device = probe.document("device")
    return Device(
        processor=device.get("processor", str),
        machine=device.get("machine", str),
        instructions=tuple(device.each("instructions", str)),
        runtime=device.get("runtime", str),
        provider=device.get("provider", str),
        accelerator=device.get("accelerator", str),
    )
