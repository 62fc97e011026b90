"""Parameters that are chosen on training images: epsilon and layer weights.

OOD images are auxiliary outliers, or adversarial images made from the training images. No
calibration image and no test image takes part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.attachment.request import Request
from edge_ood.calibration.epsilon import (
    EPSILON_GRID,
    EpsilonChoice,
    choose_by_auroc,
    choose_by_mean,
)
from edge_ood.calibration.fusion import logistic_weights, uniform_weights
from edge_ood.graph.adversary import ADVERSARIAL, assemble_adversary
from edge_ood.graph.assemble import assemble_scores
from edge_ood.images.reading import decode_all
from edge_ood.images.splits import evenly_spread
from edge_ood.onnx_session import open_session
from edge_ood.parity.batches import run_in_batches
from edge_ood.scores import FEATURES_PREFIX, BoundHead
from edge_ood.threads import Meter, image_batch

__all__ = ["Bench", "Tuning", "tune"]

_FEWEST_WEIGHTED = 2


@dataclass(frozen=True)
class Tuning:
    """What was chosen, and how, for the metadata.

    Attributes:
        heads: With the chosen parameters and weights.
        choices: By head: criterion, curve or weights, and what it tells of its statistics.
    """

    heads: tuple[BoundHead, ...]
    choices: Mapping[str, Mapping[str, Any]]


def tune(
    request: Request,
    heads: Sequence[BoundHead],
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tuning:
    """Choose epsilon where `auto` was asked for, and weights of several layers.

    Args:
        request: Its training images and outliers are used, at most 1,000 of each.
        heads: Fitted.
        on_progress: Called in each pass with how many images it has read, and of how many.

    Raises:
        CalibrationError: If a score is not finite, or the weights do not converge.
        ExportError: If an operator of the network has no gradient rule.
    """
    bench = Bench(request, on_progress)
    tuned: list[BoundHead] = []
    choices: dict[str, Mapping[str, Any]] = {}
    for head in heads:
        current, choice = _with_weights(bench, head)
        if head.is_tunable and request.options.epsilon != "declared":
            current, choice["epsilon"] = _with_epsilon(bench, current)
            current, again = _with_weights(bench, current)  # scores moved with epsilon
            choice.update(again)
        choice.update(head.summary)
        tuned.append(current)
        if choice:
            choices[head.name] = choice
    return Tuning(tuple(tuned), choices)


class Bench:
    """ID and OOD images to choose by, at most `MOST` of each, decoded when they are first needed.

    Args:
        request: Its training images are the ID images.
        on_progress: Called in each pass with how many images it has read, and of how many.
    """

    MOST = 1000

    def __init__(self, request: Request, on_progress: Callable[[int, int], None]) -> None:
        self.request = request
        self._on_progress = on_progress
        self._id_images: NDArray[np.uint8] | None = None
        self._ood_images: dict[str, NDArray[np.uint8]] = {}

    def id_images(self) -> NDArray[np.uint8]:
        """Training images (N, R, R, 3)."""
        if self._id_images is None:
            chosen = evenly_spread(self.request.training, self.MOST)
            self._id_images, _ = decode_all(chosen.paths, self.request.preprocess)
        return self._id_images

    def ood_images(self, source: str) -> NDArray[np.uint8]:
        """Auxiliary `outliers`, or by `fgsm` adversarial versions of the ID images.

        Raises:
            ExportError: If an operator of the network has no gradient rule.
        """
        request = self.request
        if source not in self._ood_images and source == "outliers":
            chosen = evenly_spread(request.outliers, self.MOST)
            self._ood_images[source], _ = decode_all(chosen.paths, request.preprocess)
        elif source not in self._ood_images:
            adversary = assemble_adversary(request.classifier, request.preprocess)
            self._ood_images[source] = self.run(adversary, self.id_images())[ADVERSARIAL]
        return self._ood_images[source]

    def scores(
        self, heads: Sequence[BoundHead], images: NDArray[np.uint8]
    ) -> dict[str, NDArray[Any]]:
        """Scores (N,) by the names of the heads."""
        model = assemble_scores(self.request.classifier, self.request.preprocess, heads)
        return self.run(model, images)

    def run(self, model: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """All outputs of a graph that takes images, by name."""
        session = open_session(model.SerializeToString(), provider=self.request.options.provider)
        size = image_batch(self.request.preprocess.size_px)
        return run_in_batches(session, images, size, Meter(len(images), self._on_progress).advance)


def _with_weights(bench: Bench, head: BoundHead) -> tuple[BoundHead, dict[str, Any]]:
    """The head with a weight per layer; one layer needs none."""
    source, layers = head.weights_source, _feature_layers(bench.request.classifier)
    if source is None or len(layers) < _FEWEST_WEIGHTED:
        return head, {}
    by_layer = [head.of_layer(layer) for layer in layers]

    def layer_scores(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        found = bench.scores(by_layer, images)
        return np.stack([found[single.name] for single in by_layer], axis=1).astype(np.float64)

    id_distances = layer_scores(bench.id_images())
    weights = (
        uniform_weights(id_distances)
        if source == "uniform"
        else logistic_weights(id_distances, layer_scores(bench.ood_images(source)))
    )
    weighted = head.with_weights(
        {layer: np.asarray(w) for layer, w in zip(layers, weights, strict=True)}
    )
    named = dict(zip(layers, weights.tolist(), strict=True))
    return weighted, {"weights": {"source": source, "by_layer": named}}


def _feature_layers(classifier: onnx.ModelProto) -> list[str]:
    names = [output.name for output in classifier.graph.output]
    return [n.removeprefix(FEATURES_PREFIX) for n in names if n.startswith(FEATURES_PREFIX)]


def _with_epsilon(bench: Bench, head: BoundHead) -> tuple[BoundHead, dict[str, Any]]:
    """The head with the epsilon that the asked-for criterion prefers."""
    criterion = bench.request.options.epsilon
    if criterion == "auto":
        criterion = "outliers" if len(bench.request.outliers) else "fgsm"
    id_images = images = bench.id_images()
    if criterion != "id-only":
        images = np.concatenate([images, bench.ood_images(criterion)])
    table = {}
    for epsilon in EPSILON_GRID:
        candidate = head.with_epsilon(epsilon)
        table[epsilon] = np.split(bench.scores([candidate], images)[head.name], [len(id_images)])
    if criterion == "id-only":
        choice = choose_by_mean({epsilon: scores for epsilon, (scores, _) in table.items()})
    else:
        pairs = {epsilon: (parts[0], parts[1]) for epsilon, parts in table.items()}
        choice = choose_by_auroc(pairs, criterion)
    return head.with_epsilon(choice.epsilon), _described(choice)


def _described(choice: EpsilonChoice) -> dict[str, Any]:
    curve = {f"{epsilon:g}": value for epsilon, value in choice.curve.items()}
    return {**asdict(choice), "curve": curve}
