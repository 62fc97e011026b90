"""The probe: does this device reproduce the numbers that the artefact was made with?

A few seeded images, regenerated anywhere to the bit, have their scores in the metadata, and what
scores so close may lead to: p-values and decisions are steps, so theirs are ranges.
`edge-ood check` compares; `edge-ood score` does so once per device and artefact.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.calibration_record import PROBE_IMAGES, Probe, ProbeVerdicts
from edge_ood.artifact.device import library_marks, this_device
from edge_ood.artifact.outputs import Scores
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.decision import Decision
from edge_ood.errors import ArtifactError, ExportError
from edge_ood.files.cache import cache_folder
from edge_ood.runtime.probe_result import SEVEN_BITS, ProbeResult
from edge_ood.runtime.scorer import Scorer

__all__ = [
    "make_probe",
    "probe_images",
    "run_probe",
    "run_probe_once",
    "with_verdicts",
]

_OF_SPREAD = 1e-3
_OF_SCORE = 1e-4
_OF_COMBINED = 1e-5
"""Rounding of the combined score itself, made of scores within their tolerances."""

_SEED_BITS = 0xFFFFFFFF
_ByHead = dict[str, NDArray[Any]]


def probe_images(seed: int, size_px: int) -> NDArray[np.uint8]:
    """Four images uint8 (4, S, S, 3): coarse random blocks under fine noise.

    NumPy's legacy generator is frozen by its compatibility policy, so the bytes are the same on
    every version and device.
    """
    generator = np.random.RandomState(seed & _SEED_BITS)
    cell = max(1, size_px // 4)
    blocks = generator.randint(0, 224, (PROBE_IMAGES, 5, 5, 3))
    index = np.minimum(np.arange(size_px) // cell, 4)
    noise = generator.randint(0, 32, (PROBE_IMAGES, size_px, size_px, 3))
    return (blocks[:, index][:, :, index] + noise).astype(np.uint8)


def make_probe(scorer: Scorer, calibration: Scores, seed: int) -> Probe:
    """Record the probe of a calibrated artefact.

    Args:
        scorer: The artefact.
        calibration: Scores of the calibration images; their spread sets the tolerance, 1e-3 of
            the interquartile range, or 1e-4 of the probe's own largest score where that is more.
        seed: Of the probe images.

    Raises:
        ExportError: If a score of a probe image is not finite.
    """
    measured = scorer.score_arrays(probe_images(seed, scorer.metadata.preprocess.resized_px))
    tolerances = {}
    # `combined` follows the calibration, and differs where a head does.
    names = [head.name for head in scorer.metadata.heads]
    for name in names:
        low, high = np.percentile(calibration.scores[name].astype(np.float64), [25, 75])
        own = float(np.abs(measured.scores[name]).max())
        if not np.isfinite(own):
            raise ExportError(
                f"score head {name!r} gives {own} for a random image, expected a finite number",
                hint=f"leave {name!r} out of --scores, or mend the classifier",
            )
        tolerances[name] = max(_OF_SPREAD * float(high - low), _OF_SCORE * own)
    return Probe(
        seed=seed,
        labels=tuple(measured.label_index.tolist()),
        scores={name: measured.scores[name].astype(float).tolist() for name in names},
        tolerances=tolerances,
        device=this_device(scorer.provider),
    )


def with_verdicts(probe: Probe, decision: Decision) -> Probe:
    """The probe with what a decision says of its scores; an empty one stays so."""
    if not probe.labels:
        return probe
    labels = np.asarray(probe.labels)
    lowest, highest = (
        {
            head: np.asarray(scores, np.float32) + np.float32(side * probe.tolerances[head])
            for head, scores in probe.scores.items()
        }
        for side in (-1, 1)
    )
    if decision.combined:
        for scores, side in ((lowest, -1), (highest, 1)):
            combined = decision.combined.combination.score(scores)
            scores[COMBINED] = combined + side * np.float32(_OF_COMBINED) * np.abs(combined)
    verdicts = {
        name: ProbeVerdicts(
            least_pvalues=_listed(decision.pvalue(name, highest[name], labels)),
            greatest_pvalues=_listed(decision.pvalue(name, lowest[name], labels)),
            least_decisions=_listed(decision.is_ood(name, lowest[name], labels)),
            greatest_decisions=_listed(decision.is_ood(name, highest[name], labels)),
        )
        for name in decision.outputs
    }
    return replace(probe, verdicts=verdicts)


def run_probe(scorer: Scorer) -> ProbeResult:
    """Score the probe images here and compare with the metadata.

    Raises:
        ArtifactError: If the artefact has no probe.
    """
    probe = scorer.metadata.probe
    if not probe.labels:
        raise ArtifactError(f"'{scorer.path}' has no probe", hint="export it again")
    metadata = scorer.metadata
    measured = scorer.score_arrays(probe_images(probe.seed, metadata.preprocess.resized_px))
    is_wide = metadata.provenance.get("int8_target") != SEVEN_BITS
    differences = {
        head: _distance(measured.scores[head], probe.scores[head])
        for head in scorer.heads
        if head in probe.scores
    }
    wrong_labels = measured.label_index != np.asarray(probe.labels)
    off = {head for head, d in differences.items() if not d <= probe.tolerances[head]}
    # What is combined of a score that is off is off; per class, so is what follows from a label.
    off |= {COMBINED} if off else set()
    verdicts = {h: v for h, v in probe.verdicts.items() if h in scorer.heads and h not in off}
    pvalues, decisions = _decided(measured, metadata.primary)
    return ProbeResult(
        recorded=probe.device,
        here=this_device(scorer.provider),
        precision=metadata.precision,
        wide_int8=metadata.precision == "int8" and is_wide,
        differences=differences,
        tolerances=dict(probe.tolerances),
        wrong_labels=int(wrong_labels.sum()),
        wrong_pvalues={
            name: _outside(pvalues[name], said.least_pvalues, said.greatest_pvalues, wrong_labels)
            for name, said in verdicts.items()
        },
        wrong_decisions={
            name: _outside(
                decisions[name], said.least_decisions, said.greatest_decisions, wrong_labels
            )
            for name, said in verdicts.items()
        },
    )


def run_probe_once(scorer: Scorer) -> ProbeResult | None:
    """Run the probe; None if there is none, or it passed here before.

    What passed is remembered in the user's cache folder, by file and device.
    Where nothing can be remembered the probe runs every time.
    """
    if not scorer.metadata.probe.labels:
        return None
    mark = _mark(scorer)
    # os.path, because Path.exists() fails where a folder may not be entered.
    if mark is not None and os.path.exists(mark):  # noqa: PTH110
        return None
    result = run_probe(scorer)
    if result.passed and mark is not None:
        with contextlib.suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
    return result


def _decided(measured: Scores, primary: str) -> tuple[_ByHead, _ByHead]:
    """P-values and decisions (M, N) by head; of the primary score as it gives them both times."""
    pvalues = {name: values[None] for name, values in measured.pvalues.items()}
    decisions = {name: values[None] for name, values in measured.decisions.items()}
    pvalues[primary] = np.stack([measured.pvalues[primary], measured.pvalue])
    decisions[primary] = np.stack([measured.decisions[primary], measured.is_ood])
    return pvalues, decisions


def _outside(
    found: NDArray[Any], least: Sequence[float], greatest: Sequence[float], left_out: NDArray[Any]
) -> int:
    """Number of images for which a row of found values (M, N) is beyond its limits (N,)."""
    is_within = (found >= np.asarray(least)) & (found <= np.asarray(greatest))
    return int((~is_within.all(axis=0) & ~left_out).sum())


def _listed(values: NDArray[Any]) -> tuple[Any, ...]:
    return tuple(values.tolist())


def _distance(measured: NDArray[np.float32], recorded: Sequence[float]) -> float:
    return float(np.abs(measured.astype(np.float64) - np.asarray(recorded)).max())


def _mark(scorer: Scorer) -> Path | None:
    """The empty file that says "passed here"; None without a home."""
    folder = cache_folder()
    return None if folder is None else folder / "probes" / _fingerprint(scorer)


def _fingerprint(scorer: Scorer) -> str:
    """Identifies file and device without reading the file, so that a large one costs nothing.

    What the file says, precision and recorded scores included, changes with the file.
    """
    file = scorer.path.stat()
    parts = (
        os.path.realpath(scorer.path),
        *(file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns),
        *scorer.heads,
        repr(this_device(scorer.provider)),
        *library_marks(scorer.provider),
    )
    text = "\n".join(map(str, parts))
    return hashlib.sha256(os.fsencode(text)).hexdigest()
