"""What a case of the zoo is: a classifier of some library, what to type, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.pictures import Pictures

__all__ = ["ALL_HEADS", "LOGIT_HEADS", "Case", "Predict", "own_answer"]

ALL_HEADS = ("energy", "mahalanobis", "msp", "uniform_ce")
LOGIT_HEADS = ("energy", "msp", "uniform_ce")

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
        heads: The scores that the artefact has then; empty where it is refused.
        refusal: The line that refuses it, `...` for names and numbers; empty where it is attached.
    """

    name: str
    library: str
    make: Callable[[Path, Pictures], Predict]
    options: str = ""
    labelled: bool = True
    heads: tuple[str, ...] = ALL_HEADS
    refusal: str = ""


def own_answer(case: Case, folder: Path, pictures: Pictures) -> NDArray[np.float64]:
    """What its own library says of new pictures, (N, K), once the file is written."""
    return case.make(folder, pictures)(pictures.new_files())
