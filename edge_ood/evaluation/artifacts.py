"""The artefacts that an evaluation compares, opened, and their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_ood.errors import InputError
from edge_ood.files.paths import shortest_name, shown_path
from edge_ood.files.text import valid_text
from edge_ood.registry import Spec
from edge_ood.runtime.scorer import Scorer

__all__ = ["OpenArtifact", "open_artifacts"]


@dataclass(frozen=True)
class OpenArtifact:
    """One artefact, opened for an evaluation.

    Attributes:
        name: What tells it from the others.
        path: The file, as in score tables.
        sha256: Of the file, hexadecimal.
        n_bytes: Size of the file.
        scorer: The file in onnxruntime.
        thresholds: By head, of each of the K predicted classes.
    """

    name: str
    path: str
    sha256: str
    n_bytes: int
    scorer: Scorer
    thresholds: Mapping[str, tuple[float, ...]]

    @property
    def objective(self) -> Spec:
        """What it says about its training; an empty name where that is nothing usable."""
        provenance = self.scorer.metadata.provenance
        name, parameters = provenance.get("objective"), provenance.get("objective_parameters")
        if isinstance(name, str) and isinstance(parameters, Mapping):
            return Spec(name, parameters)
        return Spec("")


def open_artifacts(paths: Sequence[Path], *, provider: str = "auto") -> tuple[OpenArtifact, ...]:
    """Open artefacts, each named by its file without the ending, with parents where that is shared.

    Args:
        paths: The files, in the order of the report.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.

    Raises:
        ArtifactError: If a file is missing, not written by edge-ood, too new, damaged or was never
            calibrated.
        InputError: If a file, or a copy of it, is given twice, or the provider cannot be had.
    """
    opened: dict[str, OpenArtifact] = {}
    for path, name in zip(paths, _names(paths), strict=True):
        scorer = Scorer(path, provider=provider, threads=1)
        digest = scorer.file.sha256
        if digest in opened:
            raise InputError(
                f"'{path}' is the same file as '{opened[digest].path}'",
                hint="give each artefact once",
            )
        size, thresholds = scorer.file.n_bytes, _thresholds(scorer)
        opened[digest] = OpenArtifact(name, shown_path(path), digest, size, scorer, thresholds)
    return tuple(opened.values())


def _names(paths: Sequence[Path]) -> list[str]:
    parts = [(*p.resolve().parts[:-1], p.name.removesuffix(".onnx")) for p in paths]
    return [valid_text(shortest_name(own, parts) or "/".join(own)) for own in parts]


def _thresholds(scorer: Scorer) -> dict[str, tuple[float, ...]]:
    calibration, n_classes = scorer.metadata.calibration, len(scorer.metadata.classes)
    if not calibration.per_class:
        return {head: (calibration.thresholds[head],) * n_classes for head in scorer.heads}
    from edge_ood.graph.decision import read_decision  # noqa: PLC0415  # imports onnx
    from edge_ood.graph.loading import model_of  # noqa: PLC0415  # imports onnx

    decision = read_decision(model_of(scorer.file), scorer.heads)
    everything = np.arange(n_classes)
    return {
        head: tuple(decision.limits(head, everything).astype(np.float64).tolist())
        for head in scorer.heads
    }
