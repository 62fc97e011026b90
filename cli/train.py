"""`edge-ood train`: image folders become a run directory."""

import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_ood.cli._options import ForceOption
from edge_ood.cli._page import leave_training_page
from edge_ood.errors import ChanceLevelError, InputError, MissingDependencyError
from edge_ood.recipes import RECIPES, Recipe, choose_settings
from edge_ood.registry import Registry, Spec, parse_spec

__all__ = ["train"]

# Named here once more, because the packages themselves import torch.
_OBJECTIVES = Registry("edge_ood.objectives", kind="", attribute="", separator="-").names()
_FAMILIES = Registry("edge_ood.models", kind="", attribute="", separator=" ").names()

_DEFAULTS: Mapping[str, Any] = {"model": Spec("wrn-40-2"), "objective": Spec("cross-entropy")}
_FINE_TUNING: Mapping[str, Any] = {"epochs": 10, "learning_rate": 0.001}
"""As Outlier Exposure and energy-bounded training fine-tune in their papers."""
_IMAGE_SIZE_PX = 32
_LIST = "list"


def _list_recipes(value: str | None) -> str | None:
    """Answer `--recipe list` before anything else is asked for."""
    if value != _LIST:
        return value
    for recipe in map(RECIPES.get, RECIPES.names()):
        needs = [f"--from RUN of {recipe.starts_from}"] if recipe.starts_from else []
        needs += ["--outliers DIR"] if recipe.needs_outliers else []
        typer.echo(f"{recipe.name}: {recipe.summary}")
        typer.echo(f"    needs {', '.join(needs) or 'nothing but DATA'}")
        typer.echo(f"    source: {recipe.source}")
    raise typer.Exit


def train(
    folder: Annotated[
        Path, typer.Argument(metavar="DATA", help="Training images as DATA/<class>/<file>.")
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The run directory to write.")],
    outliers: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Images of anything but the classes.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images for thresholds alone; default: 10% of DATA."),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="DIR/<class>/<file>; default: a further 5% of DATA."),
    ] = None,
    unlabelled: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Pool of classifier-discrepancy's transductive modes."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Fine-tune a finished run: its network, preprocessing, augmentation and splits; "
            "10 epochs and --lr 0.001 unless given.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar=f"NAME|{_LIST}",
            help=f"A published way to train, which other options override: "
            f"{', '.join(RECIPES.names())}.",
            callback=_list_recipes,
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help=f"{' or '.join(_OBJECTIVES)}; parameters follow as in outlier-exposure:weight=0.5;"
            " default: cross-entropy."
        ),
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            help="2 allows the score mcd_l1; a second head of a --from run starts afresh; default: "
            "1, or those of the run.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Such as wrn-40-2, densenet-bc-100-12, resnet18, vit_b_16:image_size=32, or "
            "package.module:function, which runs your own code; from the families "
            f"{', '.join(_FAMILIES)}; default: wrn-40-2."
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Side of the network's input, px; default: 32.")
    ] = None,
    resize: Annotated[
        str | None, typer.Option(help="center-crop or stretch; default: center-crop.")
    ] = None,
    augmentation: Annotated[
        str | None,
        typer.Option(
            help="crop,flip or crop or flip or none; never flip writing; default: crop,flip."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training images; default: 100.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Training images per step; default: 128.")
    ] = None,
    outlier_batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Outliers or unlabelled images per step; default: 256."),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate at the first step; default: 0.1.")
    ] = None,
    final_lr: Annotated[
        float | None,
        typer.Option(help="Where its cosine ends; that of --lr keeps it constant; default: 1e-6."),
    ] = None,
    momentum: Annotated[float | None, typer.Option(help="Nesterov's; default: 0.9.")] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="L2, of all weights; default: 5e-4.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides every random draw.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    compile: Annotated[
        bool, typer.Option("--compile", help="Fewer kernel launches, for GPUs; needs g++.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was interrupted.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Train a classifier on image folders.

    Writes a run directory, from which 'edge-ood export' makes one ONNX file.

    Example: edge-ood train photos --outliers others --objective outlier-exposure -o runs/photos
    """
    from edge_ood.images.preprocess import Preprocess
    from edge_ood.training.fine_tuning import read_start
    from edge_ood.training.run_directory import PAGE_FILE
    from edge_ood.training.training_set import Folders

    defaults, preprocess = _DEFAULTS, Preprocess(_IMAGE_SIZE_PX)
    if start is not None:
        run = read_start(start)
        trained, preprocess = run.config.settings, run.config.preprocess
        kept = ("model", "heads", "augmentation")
        kept_settings = {name: getattr(trained, name) for name in kept}
        defaults = {**_DEFAULTS, **_FINE_TUNING, **kept_settings}
    given = {
        "model": model and parse_spec(model),
        "objective": objective and parse_spec(objective),
        "heads": heads,
        "augmentation": augmentation and _augmentation(augmentation),
        "epochs": epochs,
        "batch_size": batch_size,
        "outlier_batch_size": outlier_batch_size,
        "learning_rate": lr,
        "final_learning_rate": final_lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "precision": precision,
        "compile": compile,
        "seed": seed,
    }
    settings = choose_settings(defaults, _recipe(recipe, start), given)
    preprocess = replace(preprocess, **_present({"size_px": image_size, "resize": resize}))
    # Threads that spin while they wait are 5 to 20 times slower on cores that others use too.
    # OpenMP reads this once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from edge_ood.cli._training_display import TrainingDisplay
        from edge_ood.training.devices import end_processes
        from edge_ood.training.train import Launch
        from edge_ood.training.train import train as train_classifier
    except ModuleNotFoundError as error:
        raise MissingDependencyError("training", error.name or "torch", "train") from error

    is_first = os.environ.get("RANK", "0") == "0"  # torchrun starts many of us, and one speaks
    try:
        with TrainingDisplay(settings.epochs) as display:
            report = train_classifier(
                Folders(folder, outliers, calibration, validation, unlabelled, start),
                settings,
                preprocess,
                output,
                launch=Launch(device, resume=resume, force=force),
                progress=display.callbacks,
            )
    except ChanceLevelError:
        if is_first:
            leave_training_page(output)
        raise
    end_processes()
    if not is_first:
        return
    accuracy = report.validation_accuracy
    typer.echo(
        f"wrote '{output}'"
        + ("" if math.isnan(accuracy) else f": validation accuracy {accuracy:.1%}")
    )
    if leave_training_page(output):
        typer.echo(f"{output / PAGE_FILE}: learning curves, energies and settings as a page")
    typer.echo(f"next: edge-ood export {shlex.quote(str(output))}", err=True)


def _recipe(name: str | None, start: Path | None) -> Recipe | None:
    if name is None:
        return None
    found: Recipe = RECIPES.get(name)
    if found.starts_from and start is None:
        raise InputError(
            f"recipe {found.name!r} fine-tunes a finished run, got none",
            hint=f"--from RUN, trained with --recipe {found.starts_from}",
        )
    return found


def _present(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _augmentation(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(sorted({word.strip() for word in text.split(",")}))
