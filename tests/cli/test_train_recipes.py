"""`edge-ood train --recipe`: a published way to train by its name, under the user's own options."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.recipes import RECIPES
from edge_ood.training.run_directory import read_run

SMALL = ["--model", "wrn-10-1:dropout=0", "--image-size", "8", "--epochs", "8", "--device", "cpu"]


def train(images: Path, output: Path, *options: str) -> Result:
    """Run the command on small images, with a calibration and a validation split of their own."""
    folders = ["--calibration", str(images / "calibration")]
    folders += ["--validation", str(images / "validation")]
    arguments = ["train", str(images / "train"), *folders, "-o", str(output), *options]
    return CliRunner().invoke(app, arguments)


def error_lines(result: Result) -> str:
    """What standard error says about the failure, in one line."""
    return " ".join(result.stderr.splitlines())


@pytest.mark.parametrize("name", RECIPES.names())
def test_the_list_has_every_recipe(name: str) -> None:
    """Name, what it trains, what must be given and the source, without DATA or an output."""
    recipe = RECIPES.get(name)

    result = CliRunner().invoke(app, ["train", "--recipe", "list"])

    assert 0 == result.exit_code, result.stderr
    lines = result.stdout.splitlines()
    start = lines.index(f"{name}: {recipe.summary}")
    needs, source = lines[start + 1 : start + 3]
    assert f"    source: {recipe.source}" == source
    assert recipe.needs_outliers == ("--outliers" in needs)
    assert bool(recipe.starts_from) == (f"--from RUN of {recipe.starts_from}" in needs)


def test_the_list_loads_no_framework() -> None:
    """It answers without torch."""
    code = (
        "import sys; sys.argv = ['edge-ood', 'train', '--recipe', 'list']\n"
        "from edge_ood.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert not {'torch', 'onnx'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, check=False)

    assert 0 == done.returncode, done.stderr


def test_a_recipe_fills_in_what_was_not_given(tiny_images: Path, tmp_path: Path) -> None:
    """Options win over the recipe, the recipe over the defaults; the run bears its name."""
    result = train(tiny_images, tmp_path / "run", *SMALL, "--recipe", "densenet-cifar10")

    assert 0 == result.exit_code, result.stderr
    settings = read_run(tmp_path / "run").config.settings
    assert ("wrn-10-1", 8) == (settings.model.name, settings.epochs)
    assert (64, 1e-4) == (settings.batch_size, settings.weight_decay)
    assert "densenet-cifar10" == settings.recipe


def test_any_number_of_a_recipe_can_be_replaced(tiny_images: Path, tmp_path: Path) -> None:
    """Each has an option."""
    options = ["--recipe", "oe-cifar10", "--outliers", str(tiny_images / "outliers")]
    options += ["--batch-size", "12", "--outlier-batch-size", "6", "--lr", "0.05"]
    options += ["--final-lr", "0.01", "--momentum", "0.5", "--weight-decay", "0.002"]
    options += ["--objective", "outlier-exposure:weight=0.25", "--augmentation", "none"]

    result = train(tiny_images, tmp_path / "run", *SMALL, *options)

    assert 0 == result.exit_code, result.stderr
    settings = read_run(tmp_path / "run").config.settings
    assert (12, 6, 0.05, 0.01, 0.5, 0.002) == (
        settings.batch_size,
        settings.outlier_batch_size,
        settings.learning_rate,
        settings.final_learning_rate,
        settings.momentum,
        settings.weight_decay,
    )
    assert 0.25 == settings.objective.parameters["weight"]
    assert () == settings.augmentation


def test_a_fine_tuning_recipe_keeps_the_network_of_its_start(
    tiny_images: Path, tmp_path: Path
) -> None:
    """`--from` decides the model, the recipe everything that it names."""
    options = ["--recipe", "oe-tuned-cifar10", "--outliers", str(tiny_images / "outliers")]
    train(tiny_images, tmp_path / "base", *SMALL, "--batch-size", "14", "--lr", "0.05")

    result = train(
        *(tiny_images, tmp_path / "tuned", *options, "--epochs", "1", "--device", "cpu"),
        *("--from", str(tmp_path / "base")),
    )

    assert 0 == result.exit_code, result.stderr
    settings = read_run(tmp_path / "tuned").config.settings
    assert ("wrn-10-1", 0.001) == (settings.model.name, settings.learning_rate)
    assert "outlier-exposure" == settings.objective.name


def test_a_fine_tuning_recipe_asks_for_its_start(tiny_images: Path, tmp_path: Path) -> None:
    """Without `--from` it would train another method; the hint names the recipe to train first."""
    options = ["--recipe", "oe-tuned-cifar10", "--outliers", str(tiny_images / "outliers")]

    result = train(tiny_images, tmp_path / "run", *SMALL, *options)

    assert 1 == result.exit_code
    assert "error: recipe 'oe-tuned-cifar10' fine-tunes a trained network" in error_lines(result)
    assert "--from RUN, trained with --recipe baseline-cifar10" in error_lines(result)
    assert not (tmp_path / "run").exists()


def test_a_misspelt_recipe_gets_the_closest(tiny_images: Path, tmp_path: Path) -> None:
    """One line and the nearest name."""
    result = train(tiny_images, tmp_path / "run", "--recipe", "energy-tuned")

    assert 1 == result.exit_code
    assert "error: unknown recipe 'energy-tuned'" in error_lines(result)
    assert "'energy-tuned-cifar10'" in error_lines(result)
