"""Recipes: the published ways to train, one per file, every number with its source; no torch.

A recipe is a set of `Settings` under a name. Its file ends with `RECIPE = Recipe(...)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_ood.registry import Registry, parse_spec
from edge_ood.training.settings import SGD, Settings

__all__ = ["RECIPES", "Cited", "Recipe", "choose_settings", "chosen_optimizer"]

RECIPES = Registry(
    "edge_ood.recipes",
    kind="recipe",
    attribute="RECIPE",
    listing="'edge-ood train --recipe list' shows them all",
    separator="-",
)

_SPECS = ("model", "objective")
_OF_OPTIMIZER = ("learning_rate", "final_learning_rate", "momentum", "weight_decay")


@dataclass(frozen=True)
class Cited:
    """A value with its source.

    Attributes:
        value: As `Settings` has it; models and objectives as on the command line.
        source: Where it stands, quoting every number of the value.
    """

    value: Any
    source: str


@dataclass(frozen=True)
class Recipe:
    """One published way to train.

    Attributes:
        name: How the command line calls it.
        summary: What it trains, in one line.
        source: Paper, and the repository that `options` quote.
        options: Values by the field of `Settings` that they set; the others keep their defaults.
        needs_outliers: Whether `--outliers` must be given.
        starts_from: The recipe whose finished run `--from` names, which also decides the network,
            if no `--weights` of somebody's take its place; empty to train from random ones.
        needs_weights: Whether it fine-tunes somebody's network, which `--weights` must name.
        deviations: What differs from the source, one sentence each.
    """

    name: str
    summary: str
    source: str
    options: Mapping[str, Cited]
    needs_outliers: bool = False
    starts_from: str = ""
    needs_weights: bool = False
    deviations: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """The options as `Settings` takes them, models and objectives parsed, and the name."""
        options = {
            name: parse_spec(cited.value) if name in _SPECS else cited.value
            for name, cited in self.options.items()
        }
        return {"recipe": self.name, **options}


def chosen_optimizer(recipe: Recipe | None) -> str:
    """The optimiser that a recipe names; else the default, which the papers mostly have."""
    cited = {} if recipe is None else recipe.options
    return str(cited["optimizer"].value) if "optimizer" in cited else SGD


def choose_settings(
    defaults: Mapping[str, Any], recipe: Recipe | None, given: Mapping[str, Any]
) -> Settings:
    """The settings of a run: what was given, else what the recipe says, else the defaults.

    Args:
        defaults: Values by field of `Settings`, which has defaults of its own for most.
        recipe: None where there is none.
        given: Values by field of `Settings`, None where nothing was given. A model or objective
            replaces the recipe's with all parameters, another optimiser with its rates.

    Raises:
        InputError: If a value is out of range.
    """
    cited = {} if recipe is None else recipe.values()
    present = {name: value for name, value in given.items() if value is not None}
    if present.get("optimizer", chosen_optimizer(recipe)) != chosen_optimizer(recipe):
        cited = {name: value for name, value in cited.items() if name not in _OF_OPTIMIZER}
    return Settings(**{**defaults, **cited, **present})
