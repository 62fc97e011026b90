"""`edge-ood train`: image folders become a run directory."""

import math
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ForceOption
from edge_ood.errors import MissingDependencyError
from edge_ood.registry import Registry, parse_spec
from edge_ood.settings import AUGMENTATIONS, Settings

__all__ = ["train"]

# Named here once more, because the packages themselves import torch.
_OBJECTIVES = Registry("edge_ood.objectives", kind="", attribute="", separator="-").names()
_FAMILIES = Registry("edge_ood.models", kind="", attribute="", separator=" ").names()


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
    objective: Annotated[
        str,
        typer.Option(
            help=f"{' or '.join(_OBJECTIVES)}; parameters follow as in outlier-exposure:weight=0.5."
        ),
    ] = "cross-entropy",
    heads: Annotated[int, typer.Option(min=1, max=2, help="2 allows the score mcd_l1.")] = 1,
    model: Annotated[
        str,
        typer.Option(
            help="Such as wrn-40-2, densenet-bc-100-12, resnet18, vit_b_16:image_size=32; from the "
            f"families {', '.join(_FAMILIES)}."
        ),
    ] = "wrn-40-2",
    image_size: Annotated[int, typer.Option(min=1, help="Side of the network's input, px.")] = 32,
    resize: Annotated[str, typer.Option(help="center-crop or stretch.")] = "center-crop",
    augmentation: Annotated[
        str, typer.Option(help="crop,flip or crop or flip or none; never flip writing.")
    ] = ",".join(AUGMENTATIONS),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Training images per step.")] = 128,
    outlier_batch_size: Annotated[int, typer.Option(min=1, help="Outliers per step.")] = 256,
    lr: Annotated[float, typer.Option(help="Learning rate at the first step; cosine.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Decides every random draw.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    compile: Annotated[
        bool, typer.Option("--compile", help="Faster steps after a slow start; needs g++.")
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
    from edge_ood.preprocess import Preprocess
    from edge_ood.training_set import Folders

    settings = Settings(
        model=parse_spec(model),
        objective=parse_spec(objective),
        heads=heads,
        augmentation=_augmentation(augmentation),
        epochs=epochs,
        batch_size=batch_size,
        outlier_batch_size=outlier_batch_size,
        learning_rate=lr,
        precision=precision,
        compile=compile,
        seed=seed,
    )
    preprocess = Preprocess(image_size, resize=resize)
    # Threads that spin while they wait are 5 to 20 times slower on cores that others use too.
    # OpenMP reads this once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from edge_ood.cli._training_display import TrainingDisplay
        from edge_ood.train import Launch
        from edge_ood.train import train as train_classifier
    except ModuleNotFoundError as error:
        raise MissingDependencyError("training", error.name or "torch", "train") from error

    with TrainingDisplay(epochs) as display:
        report = train_classifier(
            Folders(folder, outliers, calibration, validation),
            settings,
            preprocess,
            output,
            launch=Launch(device, resume=resume, force=force),
            progress=display.callbacks,
        )
    accuracy = report.validation_accuracy
    typer.echo(
        f"wrote '{output}'"
        + ("" if math.isnan(accuracy) else f": validation accuracy {accuracy:.1%}")
    )
    typer.echo(f"next: edge-ood export {shlex.quote(str(output))}", err=True)


def _augmentation(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(sorted({word.strip() for word in text.split(",")}))
