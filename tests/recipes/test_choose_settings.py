"""Precedence: what was given, then the recipe, then the defaults."""

import subprocess
import sys
from dataclasses import replace

import pytest

from edge_ood.errors import InputError
from edge_ood.recipes import RECIPES, Cited, Recipe, choose_settings, chosen_optimizer
from edge_ood.registry import Spec
from edge_ood.training.settings import Settings

RECIPE = Recipe(
    name="short",
    summary="A short one",
    source="nobody",
    options={
        "model": Cited("wrn-16-2:dropout=0.1", "16, 2, 0.1"),
        "epochs": Cited(7, "7"),
        "momentum": Cited(0.0, "0.0"),
    },
)


DEFAULTS = {"model": Spec("wrn-40-2"), "objective": Spec("cross-entropy"), "epochs": 90}


def test_without_anything_the_defaults_hold() -> None:
    """No recipe and no option leave what the caller or `Settings` says."""
    settings = choose_settings(DEFAULTS, None, {"epochs": None, "model": None})

    assert Settings(Spec("wrn-40-2"), Spec("cross-entropy"), epochs=90) == settings


def test_a_recipe_beats_the_defaults() -> None:
    """Its options apply, a zero among them, and the rest keeps its defaults."""
    settings = choose_settings(DEFAULTS, RECIPE, {"epochs": None})

    assert (7, 0.0, 128) == (settings.epochs, settings.momentum, settings.batch_size)
    assert Spec("wrn-16-2", {"dropout": "0.1"}) == settings.model
    assert Spec("cross-entropy") == settings.objective


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 3), ("momentum", 0.5), ("seed", 0), ("augmentation", ())]
)
def test_an_option_beats_the_recipe(name: str, value: object) -> None:
    """What was given applies, even where it is zero or empty."""
    assert value == getattr(choose_settings(DEFAULTS, RECIPE, {name: value}), name)


def test_a_given_model_replaces_the_recipe_s_with_its_parameters() -> None:
    """Another network does not inherit the dropout of the recipe's."""
    given = {"model": Spec("resnet18")}

    assert Spec("resnet18") == choose_settings(DEFAULTS, RECIPE, given).model


def test_another_optimiser_does_without_the_recipe_s_rates() -> None:
    """They were found for the recipe's own, which named again keeps them."""
    recipe = replace(RECIPE, options={**RECIPE.options, "learning_rate": Cited(0.3, "0.3")})
    defaults = {**DEFAULTS, "learning_rate": 0.001, "momentum": 0.7}

    other = choose_settings(defaults, recipe, {"optimizer": "adamw"})
    same = choose_settings(defaults, recipe, {"optimizer": "sgd"})

    assert (7, 0.001, 0.7) == (other.epochs, other.learning_rate, other.momentum)
    assert (7, 0.3, 0.0) == (same.epochs, same.learning_rate, same.momentum)


def test_a_recipe_may_name_its_optimiser() -> None:
    """Its rates then stay, unless the default is asked for by name."""
    options = {"optimizer": Cited("adamw", "AdamW"), "learning_rate": Cited(0.002, "0.002")}
    recipe = replace(RECIPE, options=options)

    found = choose_settings(DEFAULTS, recipe, {})
    other = choose_settings(DEFAULTS, recipe, {"optimizer": "sgd"})

    assert ("adamw", "adamw", 0.002) == (
        chosen_optimizer(recipe),
        found.optimizer,
        found.learning_rate,
    )
    assert ("sgd", 0.1) == (other.optimizer, other.learning_rate)


def test_a_given_value_is_checked() -> None:
    """A recipe lets nothing through that the settings refuse."""
    with pytest.raises(InputError, match="epochs is 0"):
        choose_settings(DEFAULTS, RECIPE, {"epochs": 0})


def test_recipes_load_without_torch() -> None:
    """`--recipe list` answers at once."""
    code = (
        "import sys; from edge_ood.recipes import RECIPES\n"
        "for name in RECIPES.names(): RECIPES.get(name)\n"
        "assert not {'torch', 'numpy', 'onnx'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, check=False)

    assert 0 == done.returncode, done.stderr


def test_the_published_numbers_of_fine_tuning() -> None:
    """Outlier Exposure tunes for a tenth of the epochs at a hundredth of the rate."""
    tuned = choose_settings(DEFAULTS, RECIPES.get("oe-tuned-cifar10"), {})
    scratch = choose_settings(DEFAULTS, RECIPES.get("oe-cifar10"), {})

    assert (10, 0.001, 128, 256) == (
        tuned.epochs,
        tuned.learning_rate,
        tuned.batch_size,
        tuned.outlier_batch_size,
    )
    assert (100, 0.1, 5e-4, 1e-6) == (
        scratch.epochs,
        scratch.learning_rate,
        scratch.weight_decay,
        scratch.final_learning_rate,
    )
