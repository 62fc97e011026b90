"""What every recipe keeps, found through the registry."""

import re
from dataclasses import fields

import pytest

from edge_ood.errors import UnknownNameError
from edge_ood.models import build_classifier
from edge_ood.objectives import needs_of
from edge_ood.recipes import RECIPES, Recipe, choose_settings
from edge_ood.registry import Spec
from edge_ood.training.settings import Settings

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")

recipes = pytest.mark.parametrize("name", RECIPES.names())


def numbers(text: object) -> set[float]:
    """Every number that stands in a text, without its sign."""
    return {float(found) for found in NUMBER.findall(str(text))}


def settings_of(name: str) -> Settings:
    """A recipe on its own; a fine-tuning gets its network from the run that it starts from."""
    return choose_settings({"model": Spec("wrn-10-1")}, RECIPES.get(name), {})


@recipes
def test_the_object_bears_the_name_of_its_file(name: str) -> None:
    """The command line, the file and the object agree on the name."""
    assert name == RECIPES.get(name).name


@recipes
def test_every_option_is_a_setting(name: str) -> None:
    """A recipe sets fields of `Settings`, never the seed, which is the user's."""
    assert set(RECIPES.get(name).options) <= {field.name for field in fields(Settings)} - {"seed"}


@recipes
def test_every_number_is_quoted_from_its_source(name: str) -> None:
    """A number that the words beside it do not contain was mistyped or has no source."""
    for option, cited in RECIPES.get(name).options.items():
        assert cited.source, option
        assert numbers(cited.value) <= numbers(cited.source), option


@recipes
def test_a_recipe_names_paper_and_summary(name: str) -> None:
    """The list has one line for it, and says where its numbers come from."""
    recipe: Recipe = RECIPES.get(name)

    assert re.search(r"\b(19|20)\d\d, arXiv:\d{4}\.\d{5}", recipe.source)
    assert recipe.summary
    assert "\n" not in recipe.summary


@recipes
def test_a_recipe_can_be_started(name: str) -> None:
    """Settings, model and objective exist, and their parameters are valid."""
    settings = settings_of(name)

    needs_of(settings.objective)
    build_classifier(settings.model, 10, heads=settings.heads)


@recipes
def test_what_the_objective_needs_is_asked_for(name: str) -> None:
    """Outliers, a run to start from and a second head are there whenever training wants them."""
    recipe: Recipe = RECIPES.get(name)
    settings = settings_of(name)

    needs = needs_of(settings.objective)

    made = {"outliers"} if settings.outlier_source == "self" else set()
    assert needs.folders - made == ({"outliers"} if recipe.needs_outliers else set())
    assert needs.virtual or not made
    assert not needs.trained or recipe.starts_from
    assert needs.heads <= settings.heads


@pytest.mark.parametrize("name", [n for n in RECIPES.names() if RECIPES.get(n).starts_from])
def test_a_fine_tuning_leaves_the_network_to_the_run_it_starts_from(name: str) -> None:
    """The start is another recipe with as many heads, and the only one to name a network."""
    recipe: Recipe = RECIPES.get(name)
    start: Recipe = RECIPES.get(recipe.starts_from)

    assert "model" in start.options
    assert "model" not in recipe.options
    assert settings_of(recipe.starts_from).heads == settings_of(name).heads


def test_a_misspelt_recipe_gets_the_closest() -> None:
    """An unknown recipe is an error with the nearest known name."""
    with pytest.raises(UnknownNameError, match="unknown recipe 'oe-cifar'") as caught:
        RECIPES.get("oe-cifar")

    assert "oe-cifar10" == caught.value.closest
