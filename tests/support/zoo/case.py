"""What a case of the zoo is: a classifier of some library, what to type, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.pictures import Pictures

__all__ = ["Case", "Predict", "own_answer"]

Predict = Callable[[Sequence[Path]], NDArray[np.float64]]
"""A library's own answer (N, K) for image files, read and prepared its own way."""


@dataclass(frozen=True)
class Case:
    """A classifier as its library exports it.

    Attributes:
        name: Of the network, as its library calls it.
        library: What built and exported it; heading of the table.
        make: Writes the file and returns the library's own way to predict.
        options: What is typed besides the file, `--id`, `--calibration` and `-o`.
        labelled: Whether its training images are given; without, all images lie in one folder.
        features: Numbers that its last linear layer reads; 0 where there is no such layer.
        rounds: Whether it rounds before that layer, so that no weights give its answer exactly.
        refusal: The line that refuses it, `...` for names and numbers; empty where it is attached.
        fault: What of edge-ood is wrong, so that it does not come out like this yet.
    """

    name: str
    library: str
    make: Callable[[Path, Pictures], Predict]
    options: str = ""
    labelled: bool = True
    features: int = 0
    rounds: bool = False
    refusal: str = ""
    fault: str = ""

    @property
    def heads(self) -> tuple[str, ...]:
        """The scores that it gets by default; none where it is refused."""
        if self.refusal:
            return ()
        if not (self.labelled and self.features):
            return ("gen", "msp")
        reads_weights = () if self.rounds else ("nci",)
        return ("gen", "mahalanobis", "msp", *reads_weights, "combined")


def own_answer(case: Case, folder: Path, pictures: Pictures) -> NDArray[np.float64]:
    """Write the file; what its own library says of new pictures, (N, K), unless it is refused."""
    predict = case.make(folder, pictures)
    return np.empty((0, 0)) if case.refusal else predict(pictures.new_files())
