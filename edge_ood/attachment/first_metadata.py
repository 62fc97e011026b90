"""What an artefact says about itself before it is calibrated."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from edge_ood.artifact.calibration_record import Calibration, Probe
from edge_ood.artifact.metadata import HeadRecord, Metadata
from edge_ood.artifact.packed import Manifest
from edge_ood.attachment.probabilities import Probabilities
from edge_ood.attachment.request import Request
from edge_ood.calibration.combination import COMBINED
from edge_ood.graph.precision import INT8_TARGETS
from edge_ood.scores import BoundHead

__all__ = ["first_metadata", "int8_target_of"]


def first_metadata(
    request: Request,
    heads: Sequence[BoundHead],
    *,
    training_hashes: Sequence[str],
    choices: Mapping[str, Any],
    probabilities: Probabilities,
    left_out: Mapping[str, str],
) -> Metadata:
    """The metadata of what was asked for; thresholds, parity report and the like are still to come.

    Args:
        request: What to attach to which classifier.
        heads: With the parameters that they ship with.
        training_hashes: Content hashes of its training images.
        choices: What was chosen on training images, by head.
        probabilities: Their temperature, and where it is from.
        left_out: By the name of a default head, why it is not there.
    """
    options = request.options
    assert options.primary is not None  # chosen with the heads
    names = [*(head.name for head in heads), *[COMBINED] * options.guarantee.combined]
    is_int8 = options.precision == "int8"
    return Metadata(
        classes=request.classes,
        preprocess=request.preprocess,
        heads=tuple(HeadRecord(head.name, head.parameters) for head in heads),
        primary=options.primary,
        calibration=Calibration(
            **asdict(options.guarantee), n=0, thresholds=dict.fromkeys(names, 0.0), date=""
        ),
        manifests={
            request.training_role: Manifest.of(training_hashes),
            "outliers": Manifest.of(request.outliers.hashes),
            **{role: Manifest.of(i.hashes) for role, i in request.others.items() if len(i)},
            **_manifest_of(probabilities, request.training_role),
        },
        probe=Probe(int(request.provenance.get("seed", 0))),
        precision=options.precision,
        provenance={
            "statistics": options.statistics,
            **request.provenance,
            **({"int8_target": int8_target_of(request)} if is_int8 else {}),
            **({"choices": choices} if choices else {}),
            **({"left_out": left_out} if left_out else {}),
            **({"temperature": probabilities.record} if probabilities.record else {}),
        },
        version=version("edge-ood"),
        temperature=probabilities.temperature,
    )


def _manifest_of(probabilities: Probabilities, training_role: str) -> dict[str, Manifest]:
    """The images that the temperature was chosen on, unless another role has them already."""
    role = {"validation": "validation", "calibration": "statistics"}.get(probabilities.chosen_on)
    if role is None or role == training_role:
        return {}
    return {role: Manifest.of(probabilities.hashes)}


def int8_target_of(request: Request) -> str:
    """The processor that int8 is laid out for, the first if none was asked for."""
    return request.options.int8_target or next(iter(INT8_TARGETS))
