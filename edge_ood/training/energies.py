"""Energies before the first and after the last training step, as a run directory keeps them.

`energies.json` has no image: a summary of each sample is enough for a picture of how training moved
it. Torch-free.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from edge_ood.errors import InputError
from edge_ood.files.document import Document, read_document
from edge_ood.files.output import atomic_output

__all__ = [
    "ENERGIES_FILE",
    "Energies",
    "EnergySample",
    "energy_samples",
    "read_energies",
    "write_energies",
]

ENERGIES_FILE = "energies.json"

_FORMAT = 1
_QUANTILES = 101
"""0 %, 1 %, ..., 100 %: finer than a sample of 1,000 images tells."""


@dataclass(frozen=True)
class EnergySample:
    """Energies of a sample of images, `E = -logsumexp_k z_k` of the classifier's logits, in nats.

    Attributes:
        n: Images, at least one.
        mean: Of all of them.
        quantiles: The 0 %, 1 %, ..., 100 % quantiles, ascending.
    """

    n: int
    mean: float
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise InputError(f"a mean energy of {self.mean}")
        is_ascending = np.isfinite(self.quantiles).all() and (np.diff(self.quantiles) >= 0).all()
        if self.n < 1 or len(self.quantiles) != _QUANTILES or not is_ascending:
            raise InputError(f"energies of {self.n} images with {len(self.quantiles)} quantiles")

    @classmethod
    def of(cls, energies: ArrayLike) -> "EnergySample":
        """Summarise energies (N,), finite, N >= 1."""
        values = np.asarray(energies, np.float64)
        levels = np.quantile(values, np.linspace(0, 1, _QUANTILES))
        # Interpolation may fall short of the quantile before it in the last bit.
        ascending = np.maximum.accumulate(levels).tolist()
        return cls(len(values), float(values.mean()), tuple(ascending))


@dataclass(frozen=True)
class Energies:
    """Samples by the split of the run that they come from.

    The ID images are in `validation`, or in `training` where nothing was held out; the others in
    `outliers` and `unlabelled`.

    Attributes:
        before: With the weights that training started from; empty where nobody looked.
        after: With the weights that it ended with.
    """

    before: Mapping[str, EnergySample] = field(default_factory=dict)
    after: Mapping[str, EnergySample] = field(default_factory=dict)


def write_energies(run: Path, energies: Energies) -> None:
    """Write `energies.json` into a run directory.

    Raises:
        DataError: If the folder cannot be written or the disk is full.
    """
    with atomic_output(run / ENERGIES_FILE) as temporary:
        document = {"format": _FORMAT, **asdict(energies)}
        temporary.write_text(json.dumps(document) + "\n", "utf-8")


def read_energies(run: Path) -> Energies | None:
    """What `energies.json` says; None in a run directory of an earlier version, which has none.

    Raises:
        ArtifactError: If the file is damaged or from a newer edge-ood.
    """
    return read_document(
        run / ENERGIES_FILE,
        lambda document: Energies(
            energy_samples(document.document("before")), energy_samples(document.document("after"))
        ),
        newest=_FORMAT,
        hint="train again",
    )


def energy_samples(document: Document) -> dict[str, EnergySample]:
    """Samples by split, of a document that says the same.

    Raises:
        InputError: If it says anything else.
    """
    return {
        split: EnergySample(
            sample.get("n", int),
            sample.get("mean", float),
            tuple(sample.each("quantiles", float)),
        )
        for split, sample in document.inner().items()
    }
