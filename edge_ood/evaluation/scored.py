"""What one artefact says about one set of images: the only thing that measuring needs of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.outputs import Scores
from edge_ood.errors import DataError
from edge_ood.evaluation.synthetic_images import SyntheticImages
from edge_ood.evaluation.values import SYNTHETIC, Example
from edge_ood.files.paths import shown_path
from edge_ood.images.folders import ImageSet
from edge_ood.metrics.classification import max_probability
from edge_ood.runtime.scorer import Scorer
from edge_ood.threads import ordered_map

__all__ = ["Scored", "index_of", "score"]


@dataclass(frozen=True)
class Scored:
    """Answers of one artefact for N images.

    Attributes:
        names: N paths as in score tables; `#` and the index for images that are no files.
        classes: K class names of the artefact.
        label_index: int64 (N,), the predicted class.
        confidence: float64 (N,), probability of the predicted class, at the artefact's temperature.
        scores: float32 (N,) by head; larger is more out-of-distribution.
        pvalues: float32 (N,) by head.
        decisions: bool (N,) by head.
        confidence_before: float64 (N,), the same at temperature 1; None where that is it.
        labels: int64 (N,), the true classes as indices into `classes`; None where one is unknown.
    """

    names: Sequence[str]
    classes: tuple[str, ...]
    label_index: NDArray[np.int64]
    confidence: NDArray[np.float64]
    scores: Mapping[str, NDArray[np.float32]]
    pvalues: Mapping[str, NDArray[np.float32]]
    decisions: Mapping[str, NDArray[np.bool_]]
    confidence_before: NDArray[np.float64] | None = None
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.label_index)

    @property
    def is_right(self) -> NDArray[np.bool_] | None:
        """Whether the predicted class is the true one (N,); None without labels."""
        return None if self.labels is None else np.asarray(self.label_index == self.labels)

    def scores_with(self, others: "Scored") -> dict[str, NDArray[np.float32]]:
        """By head, the scores of these images and then of others."""
        return {
            head: np.concatenate([own, others.scores[head]]) for head, own in self.scores.items()
        }

    def examples(self, head: str, count: int, *, largest: bool) -> tuple[Example, ...]:
        """The images with the largest or the smallest scores of a head, the extreme one first.

        Args:
            head: The score.
            count: How many, if there are so many.
            largest: Which end.
        """
        scores, labels = self.scores[head], self.labels
        order = np.argsort(-scores if largest else scores, kind="stable")[:count]
        return tuple(
            Example(
                path=self.names[i],
                score=float(scores[i]),
                pvalue=float(self.pvalues[head][i]),
                label=self.classes[self.label_index[i]],
                is_ood=bool(self.decisions[head][i]),
                true_label="" if labels is None else self.classes[labels[i]],
            )
            for i in order.tolist()
        )


def score(
    scorer: Scorer,
    images: ImageSet | SyntheticImages,
    *,
    batch_size: int,
    on_image: Callable[[], None] = lambda: None,
) -> Scored:
    """Run a set through an artefact; no more than a few batches of pixels are held at a time.

    Args:
        scorer: The artefact.
        images: Files, or images that are made batch by batch.
        batch_size: Images per inference.
        on_image: Called after each image, to show progress.

    Raises:
        DataError: If a file is no readable image (it is named), or a score is not finite (head and
            image are named).
    """
    if isinstance(images, ImageSet):
        names = tuple(map(shown_path, images.paths))
        scores = scorer.score_files(images.paths, batch_size=batch_size, on_image=on_image)
    else:
        names = tuple(f"{SYNTHETIC}{index}" for index in range(len(images)))
        scores = _score_batches(scorer, images.batches(batch_size, on_image), batch_size)
    _check_finite(scores, names)
    temperature = scorer.metadata.temperature
    return Scored(
        names=names,
        classes=scores.classes,
        label_index=scores.label_index,
        confidence=max_probability(scores.logits, temperature),
        confidence_before=None if temperature == 1 else max_probability(scores.logits),
        scores=scores.scores,
        pvalues=scores.pvalues,
        decisions=scores.decisions,
    )


def index_of(name: str) -> int:
    """The position in its set of an image that is no file, from its name."""
    return int(name.removeprefix(SYNTHETIC))


def _score_batches(scorer: Scorer, batches: Iterable[NDArray[np.uint8]], batch_size: int) -> Scores:
    """As many inferences side by side as there are cores; one at a time on a device."""
    run = partial(scorer.score_arrays, batch_size=batch_size)
    threads = None if scorer.provider == "cpu" else 1
    return Scores.joined(list(ordered_map(run, batches, threads=threads, ahead=1)))


def _check_finite(scores: Scores, names: Sequence[str]) -> None:
    for head, values in scores.scores.items():
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken):
            raise DataError(
                f"score {head!r} of '{names[broken[0]]}' is {values[broken[0]]}, expected a "
                f"finite number ({len(broken)} of {len(values)} images)",
                hint="edge-ood check FILE.onnx tells whether the artefact is sound here",
            )
