"""The configuration of a run: checked before any image is read, and completed by the images."""

from dataclasses import replace
from importlib import metadata
from pathlib import Path

import torch
from lightning_fabric import Fabric

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.models import bind_model, build_classifier, check_input
from edge_ood.objectives import (
    Needs,
    bind_objective,
    example_with,
    needs_of,
    with_virtual_outliers,
)
from edge_ood.training.first_weights import FirstWeights, first_weights
from edge_ood.training.pixels import channel_statistics
from edge_ood.training.run_directory import RunConfig
from edge_ood.training.settings import BEST, DIVERSE, SELF, Settings
from edge_ood.training.training_set import Folders, TrainingSet

__all__ = ["complete", "configure"]

_ROLES = {"outliers": "outliers", "unlabelled": "unlabelled images"}
"""What messages call images that not every objective uses."""


def configure(
    settings: Settings, preprocess: Preprocess, folders: Folders
) -> tuple[RunConfig, FirstWeights]:
    """Fill in every parameter, find the first weights, and refuse what does not fit together.

    Args:
        settings: As they were chosen.
        preprocess: Of the new run, where its weights do not decide it.
        folders: Images, and the weights to start from.

    Returns:
        The configuration, still without classes, and what training starts from.

    Raises:
        InputError: If a setting, the image size or a folder does not fit the others.
        ArtifactError: If the run to start from is damaged, unfinished or missing, or the weights
            are of another network.
    """
    objective = bind_objective(settings.objective)
    needs = needs_of(objective)
    _check_needs(needs, settings, folders)
    settings = replace(settings, model=bind_model(settings.model), objective=objective)
    build_classifier(settings.model, 2, heads=settings.heads)
    first = first_weights(folders.start, settings, preprocess)
    preprocess = first.preprocess or preprocess
    check_input(settings.model, preprocess.size_px, settings.batch_size)
    if needs.trained and not first.heads:
        raise InputError(
            f"objective {objective.name!r} needs the weights of a finished run, got none",
            hint=f"--from RUN, or --objective {needs.trained}",
        )
    return RunConfig(settings, (), preprocess, start=first.record), first


def complete(
    config: RunConfig, training_set: TrainingSet, first: FirstWeights, fabric: Fabric
) -> RunConfig:
    """Add what the images say, and on which device and by how many processes they are learned."""
    preprocess = config.preprocess
    if first.preprocess is None:
        pixels = training_set.pixels["training"]
        is_larger = pixels.array.shape[1] != preprocess.resized_px
        mean, std = channel_statistics(pixels, slice(None) if is_larger else preprocess.centre)
        preprocess = replace(preprocess, mean=mean, std=std)
    environment = {
        "edge_ood": metadata.version("edge-ood"),
        "torch": torch.__version__,
        "device": fabric.device.type,
        "threads": torch.get_num_threads(),
        "processes": fabric.world_size,
    }
    _check_validation(config.settings, training_set)
    classes = training_set.splits["training"].classes
    stream = training_set.stream
    return replace(
        config,
        classes=classes,
        preprocess=preprocess,
        environment=environment,
        outlier_archives="" if stream is None else stream.digest,
    )


def _check_validation(settings: Settings, training_set: TrainingSet) -> None:
    """Refuse to choose by the accuracy on validation images that are not there."""
    asked = [f"--keep {BEST}"] if settings.keep == BEST else []
    asked += [f"--patience {settings.patience}"] if settings.patience else []
    if asked and not len(training_set.splits["validation"]):
        raise InputError(
            f"{' and '.join(asked)}: there is no validation image to tell epochs apart by",
            hint="--validation DIR, or three or more images of a class",
        )


def _check_needs(needs: Needs, settings: Settings, folders: Folders) -> None:
    """Refuse images that nothing uses, and an objective without what it needs."""
    objective = settings.objective.name
    _check_outliers(needs, settings)
    for role, images in _ROLES.items():
        folder: Path | str | None = getattr(folders, role)
        if role == "outliers":
            folder = folder or folders.outlier_archives or None
        is_made = role == "outliers" and settings.outlier_source == SELF
        way = f"DIR or --{role} {SELF}" if role == "outliers" and needs.virtual else "DIR"
        if folder is not None and role not in needs.folders:
            raise InputError(
                f"objective {objective!r} makes no use of {images}, got '{folder}'",
                hint=f"drop --{role}, or --objective {example_with(role)}",
            )
        if folder is None and role in needs.folders and not is_made:
            raise InputError(
                f"objective {objective!r} needs {images}, got none",
                hint=f"--{role} {way}, or --objective {example_with(None)}",
            )
    if settings.heads < needs.heads:
        raise InputError(
            f"objective {objective!r} needs {needs.heads} heads, got {settings.heads}",
            hint=f"--heads {needs.heads}",
        )


def _check_outliers(needs: Needs, settings: Settings) -> None:
    """Refuse ways to find outliers that the objective has no use for."""
    objective = settings.objective.name
    is_made = settings.outlier_source == SELF
    if is_made and not needs.virtual:
        uses = "needs outliers of a folder" if "outliers" in needs.folders else "uses no outliers"
        raise InputError(
            f"objective {objective!r} {uses}, got --outliers {SELF}",
            hint=f"drop it, or --objective {' or '.join(with_virtual_outliers())}",
        )
    if settings.outlier_sampling == DIVERSE and (is_made or not needs.outliers):
        uses = f"got --outliers {SELF} beside it" if is_made else f"which {objective!r} has none of"
        raise InputError(
            f"--outlier-sampling {DIVERSE} chooses among outliers of a folder, {uses}",
            hint=f"drop it, or --outliers DIR --objective {example_with('outliers')}",
        )
