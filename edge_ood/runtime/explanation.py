"""`Explanation`: the typed result of `edge_ood.explain`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.verdict import Verdict
from edge_ood.files.plain_table import data_frame
from edge_ood.runtime.explanation_text import explanation_text

__all__ = ["ClassAnswer", "Explanation", "HeadAnswer"]


@dataclass(frozen=True)
class HeadAnswer:
    """What one score says of the image.

    Attributes:
        name: Of the head, or `combined`.
        score: Larger is more out-of-distribution.
        pvalue: In (0, 1].
        threshold: Flagged is what is not at most this; that of the predicted class where classes
            have their own.
        is_ood: Its decision.
        decides: Whether the file's decision is this one.
        manual: Whether the threshold is the user's and not from images.
    """

    name: str
    score: float
    pvalue: float
    threshold: float
    is_ood: bool
    decides: bool = False
    manual: bool = False


@dataclass(frozen=True)
class ClassAnswer:
    """What is said of the image and one class.

    Attributes:
        name: Of the class.
        logit: Of the network.
        probability: In [0, 1], at the temperature of the file.
        distance: To the class, as a head of the file measures it, of `mahalanobis` the squared one,
            a weighted sum over layers; None where no head does.
    """

    name: str
    logit: float
    probability: float
    distance: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Why an image was flagged or accepted; `print` shows what the command shows.

    Attributes:
        path: The artefact.
        verdict: What it says of the image.
        alpha: False-alarm rate; a p-value of at most this is flagged by a calibrated threshold.
        heads: All scores, the smallest p-value first.
        probable: The most probable classes, at most three.
        nearest: The nearest classes, at most three: by `distance` where a head of the file, such as
            `mahalanobis`, measures it, else by `logit`.
        nearest_head: The head that measures distances; empty where none does.
        size_px: Width and height of the image.
        seen_box: Left, top, right and bottom of what the network sees of it, in its pixels.
        seen_px: Side of the square that the network gets of that.
        falls: How far the score that decides falls without each of (G, G) patches of what the
            network sees; positive where a patch makes the image more suspicious.
        gradient: Size of the gradient (S, S) by pixels, from 0 to 1; None where the graph has none.
        gradient_head: The head whose gradient it is; empty without one.
        seen: What the network sees, uint8 (S, S, 3).
        picture: The whole image made small, uint8 (H, W, 3).
    """

    path: str
    verdict: Verdict
    alpha: float
    heads: tuple[HeadAnswer, ...]
    probable: tuple[ClassAnswer, ...]
    nearest: tuple[ClassAnswer, ...]
    nearest_head: str
    size_px: tuple[int, int]
    seen_box: tuple[float, float, float, float]
    seen_px: int
    falls: NDArray[np.float64] = field(compare=False)
    gradient: NDArray[np.float64] | None = field(compare=False)
    gradient_head: str
    seen: NDArray[np.uint8] = field(compare=False, repr=False)
    picture: NDArray[np.uint8] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return explanation_text(self)

    @property
    def deciding(self) -> HeadAnswer:
        """The score whose decision is the file's."""
        return next(head for head in self.heads if head.decides)

    @property
    def score_without(self) -> float:
        """The deciding score without the patch that raises it most; itself where none does."""
        return self.deciding.score - max(0.0, float(self.falls.max()))

    def to_dict(self) -> dict[str, Any]:
        """All but pictures and gradient as plain values, for JSON."""
        return {
            "artefact": self.path,
            "image": None if self.verdict.path is None else str(self.verdict.path),
            "label": self.verdict.label,
            "is_ood": self.verdict.is_ood,
            "pvalue": float(self.verdict.pvalue),
            "alpha": self.alpha,
            "heads": [asdict(head) for head in self.heads],
            "probable": [asdict(answer) for answer in self.probable],
            "nearest": [asdict(answer) for answer in self.nearest],
            "nearest_head": self.nearest_head,
            "size_px": list(self.size_px),
            "seen_box": list(self.seen_box),
            "seen_px": self.seen_px,
            "falls": self.falls.tolist(),
            "gradient_head": self.gradient_head,
        }

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each score, the smallest p-value first.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        rows: list[Mapping[str, Any]] = [asdict(head) for head in self.heads]
        return data_frame(rows)
