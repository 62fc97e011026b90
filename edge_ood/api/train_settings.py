"""The settings of `edge_ood.train`: as they were given, else those of a recipe or a run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_ood.api.plain import PathLike, Words, words
from edge_ood.errors import InputError, UsageError
from edge_ood.images.preprocess import Preprocess
from edge_ood.recipes import RECIPES, Recipe, choose_settings, chosen_optimizer
from edge_ood.registry import Spec
from edge_ood.training.fine_tuning import read_start
from edge_ood.training.settings import (
    ADAMW,
    COSINE,
    DEFAULT_MODEL,
    DEFAULT_OBJECTIVE,
    FOLDER,
    PUBLISHED,
    SELF,
    SGD,
    Settings,
)

__all__ = ["augmentations", "check_start", "outlier_source", "own_objective", "settled"]

_DEFAULTS: Mapping[str, Any] = {
    "model": Spec(DEFAULT_MODEL),
    "objective": Spec(DEFAULT_OBJECTIVE),
}
_FINE_TUNING: Mapping[str, Any] = {"epochs": 10, "learning_rate": 0.001}
"""As Outlier Exposure and energy-bounded training fine-tune in their papers."""

_WITH_ADAMW: Mapping[str, Any] = {"learning_rate": 0.001, "weight_decay": 0.01}
"""The defaults of `torch.optim.AdamW`; fine-tuning has a tenth of the rate."""

_KEPT = ("model", "heads", "augmentation")
"""What a run that starts from another takes over from its settings, unless it is given."""

_OF_RUNS_TOO = {"--freeze", "--batch-norm"}
_OF_WEIGHTS = "fine-tune"
_IMAGE_SIZE_PX = 32
_NO_AUGMENTATION = "none"


def own_objective(objective: Spec) -> Spec:
    """The name of an objective, which may be code that the user has named.

    Raises:
        InputError: If there is no such code, or it is no objective.
    """
    if ":" not in objective.name:
        return objective
    from edge_ood.objectives import OBJECTIVES  # noqa: PLC0415  # imports torch

    return OBJECTIVES.take_in(objective)


def check_start(
    start: PathLike | None,
    weights: PathLike | None,
    given: Mapping[str, Any],
) -> None:
    """Refuse two first weights, and options of weights without any.

    Args:
        start: A run, or None.
        weights: Somebody's, or None.
        given: By option what only weights have a use for; None or false where it was not said.

    Raises:
        UsageError: Naming both weights, or the option.
    """
    if start is not None and weights is not None:
        raise UsageError(
            f"--from '{start}' and --weights {weights} are two first weights",
            hint="--from for a run of edge-ood, --weights for anybody else's",
        )
    said = [name for name, value in given.items() if value]
    if weights is None and said and (start is None or not set(said) <= _OF_RUNS_TOO):
        raise UsageError(
            f"{said[0]} is about the weights to start from, got no --weights",
            hint="drop it: without weights, mean and std are measured and all is new",
        )


def settled(
    start: Path | None,
    weights: PathLike | None,
    recipe: str | None,
    chosen: Mapping[str, Any],
    *,
    trust: bool,
) -> tuple[Settings, Preprocess]:
    """Settings and preprocessing: as given, else as the recipe or the run to start from has it.

    Args:
        start: The run to start from, or None.
        weights: Somebody's weights to start from, or None.
        recipe: Name of a recipe, or None.
        chosen: Values by field of `Settings`, None where nothing was given.
        trust: Whether the run may name code to run.

    Raises:
        InputError: If a value is out of range, or nothing would read it.
        UnknownNameError: If there is no such recipe.
        ArtifactError: If the run to start from is damaged, unfinished or missing.
    """
    defaults, preprocess = _DEFAULTS, Preprocess(_IMAGE_SIZE_PX)
    if start is not None:
        config = read_start(start).config
        preprocess = config.preprocess
        kept = {name: getattr(config.settings, name) for name in _KEPT}
        if trust:
            kept["model"] = replace(kept["model"], origin="")
        defaults = {**_DEFAULTS, **_FINE_TUNING, **kept}
    found = _recipe(recipe, start, weights)
    if (chosen["optimizer"] or chosen_optimizer(found)) == ADAMW:
        rate = _WITH_ADAMW["learning_rate"] / (1 if start is None and weights is None else 10)
        defaults = {**defaults, **_WITH_ADAMW, "learning_rate": rate}
    settings = choose_settings(defaults, found, chosen)
    _check_used(chosen, settings)
    return settings, preprocess


def _check_used(chosen: Mapping[str, Any], settings: Settings) -> None:
    """Refuse a number that nothing would read, and a rate at which nothing is learnt."""
    if chosen["learning_rate"] == 0:
        raise InputError("--lr 0 learns nothing, expected more than 0", hint="such as --lr 0.01")
    for name, option, use, is_used, hint in (
        (
            "shuffled_share",
            "--shuffled-share",
            "is of pixels to shuffle, and nothing is shuffled",
            settings.outlier_source == SELF,
            f"--outliers {SELF}",
        ),
        (
            "final_learning_rate",
            "--final-lr",
            f"ends a cosine, and --schedule {settings.schedule} has none",
            settings.schedule == COSINE,
            f"--schedule {COSINE}",
        ),
        (
            "momentum",
            "--momentum",
            f"is of {SGD}, and the optimiser is {settings.optimizer}",
            settings.optimizer == SGD,
            f"--optimizer {SGD}",
        ),
    ):
        if chosen[name] is not None and not is_used:
            raise InputError(f"{option} {chosen[name]} {use}", hint=f"{hint}, or drop {option}")


def _recipe(name: str | None, start: Path | None, weights: PathLike | None) -> Recipe | None:
    if name is None and weights is None:
        return None
    found: Recipe = RECIPES.get(name or _OF_WEIGHTS)
    if found.needs_weights and weights is None:
        raise InputError(
            f"recipe {found.name!r} fine-tunes a trained network, got no --weights",
            hint=f"--model NAME --weights {PUBLISHED}, or a file",
        )
    if found.starts_from and start is None and weights is None:
        raise InputError(
            f"recipe {found.name!r} fine-tunes a trained network, got none",
            hint=f"--from RUN, trained with --recipe {found.starts_from}; or --weights FILE",
        )
    return found


def outlier_source(outliers: PathLike | None) -> str | None:
    """What was said of it; nothing where no outliers were named."""
    if outliers is None:
        return None
    return SELF if outliers == SELF else FOLDER


def augmentations(given: Words) -> tuple[str, ...]:
    """Their names in order, each once; none of them where the word `none` was said."""
    return () if given == _NO_AUGMENTATION else tuple(sorted(set(words(given))))
