"""The weights that training starts from, whichever door they come in by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from edge_ood.images.preprocess import Preprocess
from edge_ood.models import Classifier, IndependentHeads, build_classifier
from edge_ood.training.fine_tuning import (
    UNKNOWN_PAST,
    Past,
    check_start,
    past_of,
    read_start,
    record_start,
)
from edge_ood.training.run_directory import Run, Start
from edge_ood.training.run_weights import load_weights
from edge_ood.training.settings import Settings

__all__ = ["RANDOM", "FirstWeights", "first_weights"]


@dataclass(frozen=True)
class FirstWeights:
    """Where the weights of a network stand before the first step, and what they impose on the run.

    Attributes:
        trunk: State of the trunk; empty for one that stays as it was drawn.
        heads: State of each linear head that has one; the others stay as they were drawn.
        preprocess: What the trunk was trained with; None where mean and std are still to be
            measured.
        past: What images have been to these weights.
        record: What the configuration keeps of them.
    """

    trunk: Mapping[str, Tensor] = field(default_factory=dict)
    heads: tuple[Mapping[str, Tensor], ...] = ()
    preprocess: Preprocess | None = None
    past: Past = UNKNOWN_PAST
    record: Start | None = None

    def fill(self, classifier: Classifier, *, head_factor: float = 1.0) -> None:
        """Put them into a classifier of the same network as it was drawn.

        Args:
            classifier: To train; its heads were not merged.
            head_factor: What its heads' weights will be multiplied by at the end.
        """
        if self.trunk:
            classifier.trunk.load_state_dict(self.trunk)
        assert isinstance(classifier.heads, IndependentHeads)  # not merged before training
        for head, state in zip(classifier.heads.linear, self.heads, strict=False):
            head.load_state_dict({**state, "weight": state["weight"] / head_factor})


RANDOM = FirstWeights()
"""All weights as they were drawn."""


def first_weights(run: Path | None, settings: Settings, preprocess: Preprocess) -> FirstWeights:
    """Random weights, or those of a finished run.

    Args:
        run: A run directory, or None for random weights.
        settings: Of the new run, with all parameters of the model.
        preprocess: Of the new run; mean and std do not count.

    Raises:
        ArtifactError: If there is no such run, or it is unfinished or damaged.
        InputError: If its weights are those of another network, or of other preprocessing.
    """
    if run is None:
        return RANDOM
    start = read_start(run)
    check_start(start, settings, preprocess)
    return _of_run(start, settings)


def _of_run(start: Run, settings: Settings) -> FirstWeights:
    # The new run's model is the same, and the user's own word where it is code.
    heads, classes = start.config.settings.heads, len(start.config.classes)
    trained = build_classifier(settings.model, classes, heads=heads)
    load_weights(trained, start)
    assert isinstance(trained.heads, IndependentHeads)  # as a run saves them
    return FirstWeights(
        trunk=trained.trunk.state_dict(),
        heads=tuple(head.state_dict() for head in trained.heads.linear),
        preprocess=start.config.preprocess,
        past=past_of(start),
        record=record_start(start),
    )
