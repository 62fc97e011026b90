"""The page of a training run: a function of its run directory."""

import math
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge_ood.errors import ArtifactError
from edge_ood.files.document import plain_values
from edge_ood.files.paths import shown_path
from edge_ood.recipes import RECIPES, Recipe
from edge_ood.registry import Spec
from edge_ood.report import numbers
from edge_ood.report.fields import Fields
from edge_ood.report.figure import svg
from edge_ood.report.page import render
from edge_ood.report.training_figures import (
    SPLIT_NAMES,
    accuracy_figure,
    energy_figures,
    loss_figure,
    rate_figure,
)
from edge_ood.training.energies import Energies, read_energies
from edge_ood.training.keeping import kept_epoch
from edge_ood.training.progress import chance_warning
from edge_ood.training.run_directory import (
    SPLITS,
    EpochReport,
    Run,
    RunConfig,
    read_metrics,
    read_run,
)
from edge_ood.training.settings import BEST, Settings

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["training_document", "training_page"]

_OF_ID = ("validation", "training")
_ROLES = {
    "training": "every step learns from some of them",
    "calibration": "set thresholds when the run is exported",
    "validation": "accuracy after each epoch",
    "outliers": "auxiliary images of anything but the classes",
    "unlabelled": "learned from without labels",
    "pretraining": "trained the weights that this run started from, and no longer train",
}


class Setting(NamedTuple):
    """A row of the table of settings: what holds, what the recipe says, and what is the default."""

    name: str
    value: str
    recipe: str
    default: str
    is_different: bool


def training_page(path: Path) -> str:
    """The page as HTML.

    Args:
        path: A run directory with at least one epoch.

    Raises:
        ArtifactError: If it is damaged, or no epoch is finished.
        MissingDependencyError: If matplotlib or Jinja2 is not installed.
    """
    run, epochs = read_run(path), read_metrics(path)
    if not epochs:
        raise ArtifactError(f"no epoch of '{path}' is finished", hint="go on with --resume")
    energies = read_energies(path) or Energies()
    document = training_document(run, epochs, energies)
    recipe = _recipe(run.config.settings)
    id_split = next((split for split in _OF_ID if split in energies.after), None)
    return render(
        "training.html",
        show=Fields(document),
        run=run,
        command=f"edge-ood export {shlex.quote(str(path))}",
        epochs=epochs,
        has_validation=not math.isnan(epochs[-1].validation_accuracy),
        is_by_chance=bool(chance_warning(run, epochs)),
        kept=_kept(run, epochs),
        energies=energies,
        id_split=id_split,
        bounds=_bounds(run),
        measured=_measured(run),
        roles=_ROLES,
        folders={split: _folder(run, split) for split in SPLITS},
        unlabelled=[split for split in SPLITS if run.splits[split].labels is None],
        origin=list(_origin(run)),
        split_names=SPLIT_NAMES,
        recipe=recipe,
        settings_rows=list(_settings(run.config, recipe)),
        splits=[split for split in SPLITS if len(run.splits[split])],
        figures=_figures(run, epochs, energies),
    )


def training_document(
    run: Run, epochs: Sequence[EpochReport], energies: Energies
) -> dict[str, Any]:
    """All that the page shows as plain values, None for NaN.

    `config` and `energies` are as in the run directory, `epochs` are the rows of `metrics.csv`; the
    rest is counted or summed up.
    """
    images = sum(epoch.images_per_s * epoch.seconds for epoch in epochs)
    seconds = sum(epoch.seconds for epoch in epochs)
    document = {
        "path": str(run.path),
        "config": run.config.to_json(),
        "epochs": [asdict(epoch) for epoch in epochs],
        "energies": asdict(energies),
        "splits": {split: _counts(run, split) for split in SPLITS},
        "totals": {
            "epochs": len(epochs),
            "kept_epoch": _kept(run, epochs),
            "classes": len(run.config.classes),
            "broken": len(run.broken),
            "seconds": seconds,
            "images_per_s": images / seconds if seconds else math.nan,
            "chance_level": run.chance_level,
        },
    }
    found: dict[str, Any] = plain_values(document)
    return found


def _counts(run: Run, split: str) -> dict[str, Any]:
    images = run.splits[split]
    classes = len(run.config.classes)
    counts = None if images.labels is None else np.bincount(images.labels, minlength=classes)
    return {"images": len(images), "by_class": None if counts is None else counts.tolist()}


def _folder(run: Run, split: str) -> str:
    """The folder that all images of a split are in."""
    parents = {path.parent for path in run.splits[split].files}
    return shown_path(Path(os.path.commonpath(parents))) if parents else ""


def _origin(run: Run) -> Iterator[tuple[str, str]]:
    """Where the weights come from, and what they were trained with."""
    start, preprocess = run.config.start, run.config.preprocess
    yield "started from", run.config.first_weights
    if start is not None:
        yield "its weights", f"sha256 {start.weights}"
    yield "input", str(preprocess)
    for name in ("mean", "std"):
        yield f"{name} of pixels", ", ".join(map(numbers.number, getattr(preprocess, name)))
    for name, value in run.config.environment.items():
        yield name.replace("_", "-"), str(value)


def _recipe(settings: Settings) -> Recipe | None:
    is_registered = settings.recipe in RECIPES.names()
    found: Recipe | None = RECIPES.get(settings.recipe) if is_registered else None
    return found


def _settings(config: RunConfig, recipe: Recipe | None) -> Iterator[Setting]:
    """Every setting but the recipe's name, beside what the recipe says and what is the default."""
    cited = {} if recipe is None else recipe.values()
    for field in fields(Settings):
        if field.name == "recipe":
            continue
        value = getattr(config.settings, field.name)
        if field.name == "objective":
            value = replace(value, parameters=config.objective_parameters)
        wanted = cited.get(field.name)
        has_default = field.name not in ("model", "objective")
        yield Setting(
            field.name.replace("_", " "),
            _shown(value),
            "" if wanted is None else _shown(wanted),
            _shown(field.default) if has_default else "",
            is_different=wanted is not None and not _is_as_cited(value, wanted),
        )


def _is_as_cited(value: Any, wanted: Any) -> bool:
    """Whether a setting is the recipe's; of a model or objective, what the recipe names of it."""
    if isinstance(value, Spec) and isinstance(wanted, Spec):
        return value.name == wanted.name and all(
            _says_same(value.parameters.get(name), word) for name, word in wanted.parameters.items()
        )
    return bool(sorted(value) == sorted(wanted) if isinstance(value, tuple) else value == wanted)


def _says_same(value: Any, word: str) -> bool:
    """Whether a parameter is what a recipe writes as a word, such as -5."""
    if isinstance(value, int | float):
        return value == float(word)
    return str(value) == word


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return numbers.number(value)
    if isinstance(value, Spec):
        given = {name: p for name, p in value.parameters.items() if p is not None}
        return ", ".join([value.name, *(f"{name} {_shown(p)}" for name, p in given.items())])
    return numbers.count(value) if isinstance(value, int) else str(value)


def _kept(run: Run, epochs: Sequence[EpochReport]) -> int:
    return kept_epoch(run.config.settings, epochs)


def _figures(run: Run, epochs: Sequence[EpochReport], energies: Energies) -> "dict[str, Markup]":
    """By what they show."""
    has_validation = not math.isnan(epochs[-1].validation_accuracy)
    keeps_best = has_validation and run.config.settings.keep == BEST
    kept = _kept(run, epochs) if keeps_best else None
    found = {
        "loss": svg(
            loss_figure(epochs, kept=kept),
            name="loss",
            title="Training loss by epoch",
            description=f"From {epochs[0].training_loss:.4g} to {epochs[-1].training_loss:.4g}",
        ),
        "rate": svg(
            rate_figure(epochs),
            name="rate",
            title="Learning rate by epoch",
            description="The rate of the last step of each epoch",
        ),
    }
    if has_validation:
        found["accuracy"] = svg(
            accuracy_figure(epochs, kept=kept),
            name="accuracy",
            title="Validation accuracy by epoch",
            description=f"{epochs[-1].validation_accuracy:.1%} at the end"
            + (f"; epoch {kept} was kept" if kept else ""),
        )
    if energies.before or energies.after:
        for moment, figure in energy_figures(energies, _bounds(run)).items():
            found[moment] = svg(
                figure,
                name=f"energies-{moment}",
                title=f"Energies {moment} training",
                description="Histograms of the energies of ID images and of others",
            )
    return found


def _bounds(run: Run) -> dict[str, float]:
    """The energies beyond which images cost the objective nothing, by the parameter's name."""
    parameters = run.config.objective_parameters
    found = {name: parameters.get(name) for name in _energy_bounds(run)}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _measured(run: Run) -> list[str]:
    """The bounds that were not given, but found with the first weights."""
    from edge_ood.objectives import needs_of  # noqa: PLC0415  # imports torch

    names, objective = _energy_bounds(run), run.config.settings.objective
    if not names or not needs_of(objective).trained:
        return []
    return [n for n in names if n in run.config.measured and objective.parameters.get(n) is None]


def _energy_bounds(run: Run) -> tuple[str, ...]:
    """What the objective declares; nothing where this edge-ood has no such objective."""
    from edge_ood.objectives import OBJECTIVES  # noqa: PLC0415  # imports torch

    name = run.config.settings.objective.name
    known = name in OBJECTIVES.names()
    return (OBJECTIVES.get(name).energy_bounds or ()) if known else ()
