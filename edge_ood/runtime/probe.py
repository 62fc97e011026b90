"""The probe: does this device reproduce the numbers that the artefact was made with?

A few seeded images, regenerated anywhere to the bit, have their scores in the metadata.
`edge-ood check` compares; `edge-ood score` does so once per device and artefact.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.calibration_record import PROBE_IMAGES, Probe
from edge_ood.artifact.device import Device, library_marks, this_device
from edge_ood.artifact.outputs import Scores
from edge_ood.errors import ArtifactError, ExportError
from edge_ood.runtime.scorer import Scorer

__all__ = ["ProbeResult", "make_probe", "probe_images", "run_probe", "run_probe_once"]

_OF_SPREAD = 1e-3
_OF_SCORE = 1e-4
_SEVEN_BITS = "avx2"
"""The target of int8 whose weights keep to 7 bits, so that nothing saturates."""

_SEED_BITS = 0xFFFFFFFF


@dataclass(frozen=True)
class ProbeResult:
    """How far this device is from the recorded scores.

    Attributes:
        recorded: The device of the recorded scores.
        here: This one.
        precision: Of the artefact.
        wide_int8: Whether its weights are integers of all 8 bits, whose products may overflow.
        differences: Largest absolute difference by head.
        tolerances: Largest allowed difference by head.
        wrong_labels: Number of probe images whose label differs.
    """

    recorded: Device
    here: Device
    precision: str
    wide_int8: bool
    differences: Mapping[str, float]
    tolerances: Mapping[str, float]
    wrong_labels: int

    @property
    def failed_heads(self) -> tuple[str, ...]:
        """Heads outside their tolerance; NaN is outside."""
        return tuple(head for head, d in self.differences.items() if not d <= self.tolerances[head])

    @property
    def passed(self) -> bool:
        """Whether labels and all scores are reproduced."""
        return not self.failed_heads and not self.wrong_labels

    @property
    def wrong(self) -> str:
        """What is not reproduced, in words; empty if all is."""
        labels = f"{self.wrong_labels} of {PROBE_IMAGES} labels" if self.wrong_labels else ""
        return ", ".join(filter(None, [*self.failed_heads, labels]))

    @property
    def cause(self) -> str:
        """The likely reason for a failure, in words."""
        if self.here == self.recorded:
            return "the scores were recorded on this device, so the file has changed since"
        if self.wide_int8 and self.here.saturates:
            return "int8 sums saturate on this processor, which is without VNNI"
        if self.wide_int8 and self.recorded.saturates:
            return "int8 sums saturated where the scores were recorded, without VNNI"
        return f"the scores were recorded on {self.recorded}, this is {self.here}"

    def remedy(self, artifact: Path) -> str:
        """What to do about a failure."""
        if self.here == self.recorded:
            return "restore the file, or export it again"
        here = f"edge-ood calibrate {artifact} ID_IMAGES sets thresholds that hold here"
        if self.wide_int8 and self.here.saturates:
            return f"export it again with --int8-target {_SEVEN_BITS}, or: {here}"
        return here


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
    is_wide = metadata.provenance.get("int8_target") != _SEVEN_BITS
    return ProbeResult(
        recorded=probe.device,
        here=this_device(scorer.provider),
        precision=metadata.precision,
        wide_int8=metadata.precision == "int8" and is_wide,
        differences={
            head: _distance(measured.scores[head], probe.scores[head])
            for head in scorer.heads
            if head in probe.scores
        },
        tolerances=dict(probe.tolerances),
        wrong_labels=int((measured.label_index != np.asarray(probe.labels)).sum()),
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


def _distance(measured: NDArray[np.float32], recorded: Sequence[float]) -> float:
    return float(np.abs(measured.astype(np.float64) - np.asarray(recorded)).max())


def _mark(scorer: Scorer) -> Path | None:
    """The empty file that says "passed here"; None without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(base) if os.path.isabs(base) else Path.home() / ".cache"  # noqa: PTH117
    except RuntimeError:
        return None
    return folder / "edge-ood" / "probes" / _fingerprint(scorer)


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
