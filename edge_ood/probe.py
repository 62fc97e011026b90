"""The probe: does this device reproduce the numbers that the artefact was made with?

A few seeded images, regenerated anywhere to the bit, have their scores in the metadata.
`edge-ood check` compares; `edge-ood score` does so once per device and artefact.
"""

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact import PROBE_IMAGES, Probe
from edge_ood.runtime import Scorer, Scores

__all__ = ["ProbeResult", "make_probe", "probe_images", "run_probe", "run_probe_once"]

_OF_SPREAD = 1e-3
_OF_SCORE = 1e-4


@dataclass(frozen=True)
class ProbeResult:
    """How far this device is from the recorded scores.

    Attributes:
        provider: Where it ran.
        differences: Largest absolute difference by head.
        tolerances: Largest allowed difference by head.
        wrong_labels: Number of probe images whose label differs.
    """

    provider: str
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


def probe_images(seed: int, size_px: int) -> NDArray[np.uint8]:
    """Four images uint8 (4, S, S, 3): coarse random blocks under fine noise.

    NumPy's legacy generator is frozen by its compatibility policy, so the bytes are the same on
    every version and device.
    """
    generator = np.random.RandomState(seed)
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
    """
    measured = scorer.score_arrays(probe_images(seed, scorer.metadata.preprocess.size_px))
    tolerances = {}
    for head, scores in calibration.scores.items():
        low, high = np.percentile(scores.astype(np.float64), [25, 75])
        own = float(np.abs(measured.scores[head]).max())
        tolerances[head] = max(_OF_SPREAD * float(high - low), _OF_SCORE * own)
    return Probe(
        seed=seed,
        labels=measured.label_index.tolist(),
        scores={head: s.astype(float).tolist() for head, s in measured.scores.items()},
        tolerances=tolerances,
    )


def run_probe(scorer: Scorer) -> ProbeResult:
    """Score the probe images here and compare with the metadata."""
    probe = scorer.metadata.probe
    measured = scorer.score_arrays(probe_images(probe.seed, scorer.metadata.preprocess.size_px))
    return ProbeResult(
        provider=scorer.provider,
        differences={h: _distance(measured.scores[h], probe.scores[h]) for h in scorer.heads},
        tolerances=dict(probe.tolerances),
        wrong_labels=int((measured.label_index != np.asarray(probe.labels)).sum()),
    )


def run_probe_once(scorer: Scorer) -> ProbeResult | None:
    """Run the probe unless it passed here before; None if it did, or cannot be remembered.

    What passed is remembered in the user's cache folder, by artefact, processor and onnxruntime.
    """
    mark = _cache_folder() / _fingerprint(scorer)
    if mark.exists():
        return None
    result = run_probe(scorer)
    if result.passed:
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError:
            return None  # a read-only home: the probe runs again next time
    return result


def _distance(measured: NDArray[np.float32], recorded: Sequence[float]) -> float:
    return float(np.abs(measured.astype(np.float64) - np.asarray(recorded)).max())


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edge-ood" / "probes"


def _fingerprint(scorer: Scorer) -> str:
    import onnxruntime  # noqa: PLC0415  # loaded already; not a dependency of importing this file

    parts = (
        hashlib.sha256(scorer.path.read_bytes()).hexdigest(),
        scorer.provider,
        onnxruntime.__version__,
        platform.machine(),
        _processor(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())
