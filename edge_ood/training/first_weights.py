"""The weights that training starts from, whichever door they come in by."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from edge_ood.images.preprocess import Preprocess
from edge_ood.models import Classifier, IndependentHeads, build_classifier, family_of
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
from edge_ood.weights.file import read_weights
from edge_ood.weights.fitting import fitted
from edge_ood.weights.published import published_weights
from edge_ood.weights.source import NetworkSource, settled_preprocess

__all__ = ["RANDOM", "FirstWeights", "first_weights"]

_ANY_CLASSES = 2
"""The network is drawn for as many, to be looked at; what its heads tell apart comes later."""


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
        notes: What the user should know, one sentence each.
    """

    trunk: Mapping[str, Tensor] = field(default_factory=dict)
    heads: tuple[Mapping[str, Tensor], ...] = ()
    preprocess: Preprocess | None = None
    past: Past = UNKNOWN_PAST
    record: Start | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_somebody_elses(self) -> bool:
        """Whether somebody else trained them: nothing but shapes says what their classes are."""
        return self.record is not None and not self.record.run

    def for_classes(self, count: int, *, new_head: bool) -> "FirstWeights":
        """Without somebody else's heads where they have other classes, or new ones are wanted."""
        if not self.is_somebody_elses:
            return self
        known = len(self.heads[0]["weight"]) if self.heads else 0
        if known == count and not new_head:
            note = f"the last layer of these weights has {count} classes and is kept, its outputs"
            note += " taken for the class folders as sorted; --new-head starts it afresh"
            return replace(self, notes=(*self.notes, note))
        has = f" has {known} classes and" if known else " does not fit and"
        note = f"the last layer of these weights{has} starts afresh, for {count}"
        return replace(self, heads=(), notes=(*self.notes, note))

    def fill(self, classifier: Classifier, *, head_factor: float = 1.0) -> None:
        """Put them into a classifier of the same network as it was drawn.

        Args:
            classifier: To train; its heads were not merged.
            head_factor: What its heads' weights will be multiplied by at the end.
        """
        classifier.trunk.load_state_dict({**classifier.trunk.state_dict(), **self.trunk})
        assert isinstance(classifier.heads, IndependentHeads)  # not merged before training
        for head, state in zip(classifier.heads.linear, self.heads, strict=False):
            scaled = {**state, "weight": state["weight"] / head_factor}
            head.load_state_dict({**head.state_dict(), **scaled})


RANDOM = FirstWeights()
"""All weights as they were drawn."""


def first_weights(
    start: Path | NetworkSource | None, settings: Settings, preprocess: Preprocess
) -> FirstWeights:
    """Random weights, those of a finished run, or somebody else's.

    Args:
        start: A run directory; somebody's weights of the model, and what its images are like; or
            None for random weights.
        settings: Of the new run, with all parameters of the model.
        preprocess: Of the new run; mean and std do not count, and somebody's weights have all of
            their own.

    Raises:
        ArtifactError: If there is no such run or file, it is unfinished or damaged, or the weights
            are those of another network.
        InputError: If a run has other preprocessing, or nobody says what weights expect.
    """
    if start is None:
        return RANDOM
    if isinstance(start, NetworkSource):
        return _of_source(start, settings)
    run = read_start(start)
    check_start(run, settings, preprocess)
    return _of_run(run, settings)


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


def _of_source(source: NetworkSource, settings: Settings) -> FirstWeights:
    model = settings.model
    whole = family_of(model.name).whole
    file = source.weights
    weights = published_weights(model) if file is None else read_weights(file)
    if whole is not None:
        weights = replace(weights, arrays=whole.renamed(weights.arrays))
    network = whole.build(model.name, _ANY_CLASSES, **model.parameters) if whole else None
    preprocess, _, described = settled_preprocess(source, model, whole, network)
    found = fitted(weights, build_classifier(model, _ANY_CLASSES), model.name)
    return FirstWeights(
        trunk=found.trunk,
        heads=(found.head,) if found.head else (),
        preprocess=preprocess,
        record=Start("", weights.sha256, weights.called),
        notes=(*weights.notes, *described, *found.notes),
    )
