"""`edge-ood train`: image folders become a run directory."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._bundles import bundle, options_of, with_bundles
from edge_ood.cli._options import CropOption, ForceOption, InterpolationOption, TrustOption
from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_output
from edge_ood.cli._training_options import Optimisation, Targets
from edge_ood.errors import MissingDependencyError
from edge_ood.recipes import RECIPES
from edge_ood.registry import Registry
from edge_ood.training.settings import (
    AUGMENTATIONS,
    DEFAULT_MODEL,
    DEFAULT_OBJECTIVE,
    PUBLISHED,
)

__all__ = ["train"]

# Named here once more, because the packages themselves import torch.
_OBJECTIVES = Registry("edge_ood.objectives", kind="", attribute="", separator="-").names()
_FAMILIES = Registry("edge_ood.models", kind="", attribute="", separator=" ").names()
_LOGGERS = Registry("edge_ood.training.loggers", kind="", attribute="", separator="-").names()
_LIST = "list"


def _list_recipes(value: str | None) -> str | None:
    """Answer `--recipe list` before anything else is asked for."""
    if value != _LIST:
        return value
    expect_standard_output()
    for recipe in map(RECIPES.get, RECIPES.names()):
        needs = [f"--from RUN of {recipe.starts_from}"] if recipe.starts_from else []
        needs += ["--weights pretrained or FILE"] if recipe.needs_weights else []
        needs += ["--outliers DIR"] if recipe.needs_outliers else []
        say(f"{recipe.name}: {recipe.summary}")
        say(f"    needs {', '.join(needs) or 'nothing but DATA'}")
        say(f"    source: {recipe.source}")
    raise typer.Exit


@bundle("Images")
class Images:
    """Folders of images besides DATA and outliers."""

    calibration: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images for thresholds alone; default: 10% of DATA."),
    ] = None
    validation: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="DIR/<class>/<file>; default: DATA/val, or a further 5% of DATA."
        ),
    ] = None
    unlabelled: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Pool of objectives in a transductive mode."),
    ] = None
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|none",
            help="Where decoded images are kept for later runs; default: ~/.cache/edge-ood, for "
            "more than 500 MB of them. Remove the folder to have the space back.",
        ),
    ] = None
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken", help="Go on without images that cannot be decoded; the run names them."
        ),
    ] = False


@bundle("Network")
class Network:
    """What is trained, and what it sees of an image."""

    heads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            help="2 allows scores that read two heads; a second head of a --from run starts "
            "afresh; default: 1, or those of the run.",
        ),
    ] = None
    image_size: Annotated[
        int | None,
        typer.Option(min=1, help="Side of its input, px; default: as --weights have it, or 32."),
    ] = None
    resize: Annotated[
        str | None, typer.Option(help="center-crop or stretch; default: center-crop.")
    ] = None
    crop: CropOption = None
    interpolation: InterpolationOption = None
    mean: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Of pixels in [0, 1], that --weights expect."),
    ] = None
    std: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Of pixels in [0, 1], that --weights expect."),
    ] = None
    new_head: Annotated[
        bool,
        typer.Option(
            "--new-head",
            help="Start the last layer of --weights afresh, even where it has as many classes.",
        ),
    ] = False
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="all|EPOCHS",
            help="Keep the trunk of --weights or --from as it is: all the time, which is a linear "
            "probe, or in the first epochs.",
        ),
    ] = None
    batch_norm: Annotated[
        str | None,
        typer.Option(
            metavar="learned|frozen|synchronized",
            help="frozen keeps the statistics that --weights or --from bring, for few photographs; "
            "synchronized counts the images of all processes, so that many train as one does; "
            "default: learned, or as the recipe has it.",
        ),
    ] = None
    augmentation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help=f"Some of {','.join(AUGMENTATIONS)}, or none; trivial is TrivialAugmentWide, for "
            "photographs with resized-crop,flip; never flip writing; default: crop,flip.",
        ),
    ] = None


@bundle("Machine")
class Machine:
    """Where it runs."""

    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto"
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="fp32|bf16|auto",
            help="auto is bf16 on GPUs, and on processors with AMX or AVX512-BF16, where that is 3 "
            "to 4 times as fast, else fp32; default: fp32.",
        ),
    ] = None
    compile: Annotated[
        bool, typer.Option("--compile", help="Fewer kernel launches, for GPUs; needs g++.")
    ] = False


@with_bundles
def train(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Training images as DATA/<class>/<file>; or DATA/train, DATA/val and DATA/test "
            "with such class folders.",
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The run directory to write.")],
    outliers: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|SHARDS|self",
            help="Images of anything but the classes; x-{000..127}.tar streams archives, also of "
            "object stores; self makes them, from each step's images.",
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help=f"{' or '.join(_OBJECTIVES)}; parameters follow as in NAME:weight=0.5; "
            f"default: {DEFAULT_OBJECTIVE}."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Such as wrn-40-2, densenet-bc-100-12, resnet18, timm/efficientnet_lite0, or "
            "package.module:function, which runs your own code; from the families "
            f"{', '.join(_FAMILIES)}; default: {DEFAULT_MODEL}."
        ),
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
    weights: Annotated[
        str | None,
        typer.Option(
            metavar=f"{PUBLISHED}|FILE",
            help="Start from a trained network of --model: the weights that torchvision or timm "
            "publish, or a file of yours (safetensors, or a state dict or checkpoint of torch). "
            "Its preprocessing comes with it.",
        ),
    ] = None,
    trust: TrustOption = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar=f"NAME|{_LIST}",
            help=f"A published way to train, which other options override: "
            f"{', '.join(RECIPES.names())}.",
            callback=_list_recipes,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training images; default: 100.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was interrupted.")
    ] = False,
    force: ForceOption = False,
    log: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Tell {' or '.join(_LOGGERS)} of each epoch."),
    ] = None,
    images: Images,
    network: Network,
    optimisation: Optimisation,
    targets: Targets,
    machine: Machine,
) -> None:
    """Train a classifier on image folders.

    Writes a run directory, from which 'edge-ood export' makes one ONNX file.

    Example: edge-ood train photos --outliers others --objective outlier-exposure -o runs/photos
    """
    # Threads that spin while they wait are 5 to 20 times slower on cores that others use too.
    # OpenMP reads this once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from edge_ood.api.train import train as train_run
        from edge_ood.cli._training_display import TrainingDisplay
        from edge_ood.training.devices import end_processes
        from edge_ood.training.run_directory import PAGE_FILE
    except ModuleNotFoundError as error:
        raise MissingDependencyError("training", error.name or "torch", "train") from error

    with TrainingDisplay() as display:
        report = train_run(
            folder,
            output,
            outliers=outliers,
            objective=objective,
            model=model,
            start=start,
            weights=weights,
            trust=trust,
            recipe=recipe,
            epochs=epochs,
            resume=resume,
            force=force,
            log=log or (),
            **options_of(images, network, optimisation, targets, machine),
            progress=display.callbacks,
        )
    end_processes()
    if os.environ.get("RANK", "0") != "0":  # torchrun starts many of us, and one speaks
        return
    say(str(report))
    if (output / PAGE_FILE).exists():
        say(f"{output / PAGE_FILE}: learning curves, energies and settings as a page")
    say(f"next: edge-ood export {shlex.quote(str(output))}{_word(model)}", err=True)


def _word(model: str | None) -> str:
    """The option that an export needs again where the network is code of the user's own."""
    from edge_ood.models import family_of
    from edge_ood.registry import parse_spec

    runs_code = model is not None and family_of(parse_spec(model).name).runs_code
    return f" --model {shlex.quote(str(model))}" if runs_code else ""
