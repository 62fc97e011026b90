"""`edge_ood.train`: image folders become a run directory, as `edge-ood train` does it."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ood.api.plain import PathLike, Words, path_or_none, spec, words
from edge_ood.errors import ChanceLevelError, InputError, MissingDependencyError
from edge_ood.images.preprocess import Preprocess
from edge_ood.recipes import RECIPES, Recipe, choose_settings
from edge_ood.registry import Spec
from edge_ood.report.leave import leave_training_page
from edge_ood.training.cache import Cache, default_cache
from edge_ood.training.fine_tuning import read_start
from edge_ood.training.progress import SILENT, Progress
from edge_ood.training.settings import (
    DEFAULT_MODEL,
    DEFAULT_OBJECTIVE,
    FOLDER,
    SELF,
    Settings,
)

if TYPE_CHECKING:
    from edge_ood.training.progress import TrainReport

__all__ = ["train"]

_DEFAULTS: Mapping[str, Any] = {
    "model": Spec(DEFAULT_MODEL),
    "objective": Spec(DEFAULT_OBJECTIVE),
}
_FINE_TUNING: Mapping[str, Any] = {"epochs": 10, "learning_rate": 0.001}
"""As Outlier Exposure and energy-bounded training fine-tune in their papers."""

_KEPT = ("model", "heads", "augmentation")
"""What a run that starts from another takes over from its settings, unless it is given."""

_IMAGE_SIZE_PX = 32
_NO_AUGMENTATION = _NO_CACHE = "none"


def train(
    data: PathLike,
    output: PathLike,
    *,
    outliers: PathLike | None = None,
    calibration: PathLike | None = None,
    validation: PathLike | None = None,
    unlabelled: PathLike | None = None,
    start: PathLike | None = None,
    trust: bool = False,
    recipe: str | None = None,
    objective: str | Spec | None = None,
    model: str | Spec | None = None,
    heads: int | None = None,
    image_size: int | None = None,
    resize: str | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    augmentation: Words | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    outlier_batch_size: int | None = None,
    outlier_sampling: str | None = None,
    shuffled_share: float | None = None,
    lr: float | None = None,
    final_lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "fp32",
    compile: bool = False,
    cache: PathLike | None = None,
    skip_broken: bool = False,
    resume: bool = False,
    force: bool = False,
    progress: Progress = SILENT,
) -> "TrainReport":
    """Train a classifier on image folders, and write a run directory.

    What is left out is as `recipe` says, else as the run `start` has it, else the default that
    `edge-ood train --help` names.

    Args:
        data: Training images, `data/<class>/<file>`; or a folder of `train`, `val` and `test` that
            hold such images, of which `test` is left alone.
        output: The run directory.
        outliers: Folder of images of anything but the classes; the word `self` for outliers that
            are made of the training images of each step. A folder of that name is `./self`.
        calibration: Folder of images for thresholds alone; a stratified 10 % of `data` if None.
        validation: `validation/<class>/<file>`; if None, `data/val` where there is one, else a
            further 5 % of `data`.
        unlabelled: Folder of the pool that transductive objectives learn from.
        start: A finished run to fine-tune; its splits, network and preprocessing go on.
        trust: Whether `start` may name code to run, if its network is a function of somebody's own
            and `model` does not name it again.
        recipe: Name of a published way to train.
        objective: Name and parameters, such as `"outlier-exposure:weight=0.5"`.
        model: Name and parameters, or `"package.module:function"`, which runs your own code.
        heads: Linear heads, 1 or 2.
        image_size: Side of the network's input in pixels.
        resize: `center-crop` or `stretch`.
        crop: Share of the resized side that the network sees: 0.875 is the central 224 of 256 px.
        interpolation: `bilinear` or `bicubic`.
        augmentation: Some of `crop`, `flip`, `resized-crop`, `color`, `rotate`, `blur`, `erase` and
            `trivial` (TrivialAugmentWide), as `"resized-crop,flip,trivial"`, or `"none"`.
        epochs: Passes over the training images.
        batch_size: Training images per step.
        outlier_batch_size: Outliers or unlabelled images per step.
        outlier_sampling: `random`, or `diverse`: of six candidates for each outlier those that look
            most like ID images, one of each cluster.
        shuffled_share: Of an image's pixels, with `outliers="self"`, in (0, 1].
        lr: Learning rate at the first step.
        final_lr: Where its cosine ends.
        momentum: Nesterov's, in [0, 1).
        weight_decay: L2, of all weights.
        seed: Decides every random draw.
        device: `auto`, `cpu` or `cuda`.
        precision: `fp32` or `bf16`.
        compile: Whether `torch.compile` writes the kernels.
        cache: Folder for decoded images, which later runs use; the word `none` for nowhere. Where
            none is given, more than 500 MB of them are kept in `~/.cache/edge-ood`.
        skip_broken: Go on without images that cannot be decoded, and record them in the run.
        resume: Continue a run that was interrupted; start it where there is none.
        force: Replace what is in `output`.
        progress: Callbacks; the function itself prints nothing.

    Returns:
        The run and one report for each epoch.

    Raises:
        InputError: If an option is unknown, out of range or does not fit another.
        DataError: If images are unusable, or the classifier is no better than chance, in which
            case the run is complete all the same.
        ArtifactError: If the run to resume or to start from is damaged or missing.
        MissingDependencyError: If torch is not installed.
    """
    chosen = {
        "model": None if model is None else spec(model),
        "objective": None if objective is None else spec(objective),
        "heads": heads,
        "augmentation": None if augmentation is None else _augmentation(augmentation),
        "epochs": epochs,
        "batch_size": batch_size,
        "outlier_batch_size": outlier_batch_size,
        "outlier_sampling": outlier_sampling,
        "outlier_source": _outlier_source(outliers),
        "shuffled_share": shuffled_share,
        "learning_rate": lr,
        "final_learning_rate": final_lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "precision": precision,
        "compile": compile,
        "seed": seed,
    }
    settings, preprocess = _settled(path_or_none(start), recipe, chosen, trust=trust)
    if shuffled_share is not None and settings.outlier_source != SELF:
        raise InputError(
            f"a share of {shuffled_share} of the pixels is to be shuffled, and nothing is shuffled",
            hint=f"--outliers {SELF}, or drop --shuffled-share",
        )
    given: dict[str, Any] = {
        "size_px": image_size,
        "resize": resize,
        "crop": crop,
        "interpolation": interpolation,
    }
    preprocess = replace(preprocess, **{n: v for n, v in given.items() if v is not None})
    try:
        from edge_ood.training.train import Launch  # noqa: PLC0415  # imports torch
        from edge_ood.training.train import train as train_run  # noqa: PLC0415  # imports torch
        from edge_ood.training.training_set import Folders  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingDependencyError("training", error.name or "torch", "train") from error

    output = Path(output)
    folders = Folders(
        training=Path(data),
        outliers=None if outliers == SELF else path_or_none(outliers),
        calibration=path_or_none(calibration),
        validation=path_or_none(validation),
        unlabelled=path_or_none(unlabelled),
        start=path_or_none(start),
    )
    launch = Launch(
        device, resume=resume, force=force, cache=_cache(cache), skip_broken=skip_broken
    )
    try:
        report = train_run(folders, settings, preprocess, output, launch=launch, progress=progress)
    except ChanceLevelError:  # the run is there all the same, and its page says what went wrong
        _leave_page(output, progress)
        raise
    _leave_page(output, progress)
    return report


def _settled(
    start: Path | None, recipe: str | None, chosen: Mapping[str, Any], *, trust: bool
) -> tuple[Settings, Preprocess]:
    """Settings and preprocessing: as given, else as the recipe or the run to start from has it."""
    defaults, preprocess = _DEFAULTS, Preprocess(_IMAGE_SIZE_PX)
    if start is not None:
        config = read_start(start).config
        preprocess = config.preprocess
        kept = {name: getattr(config.settings, name) for name in _KEPT}
        if trust:
            kept["model"] = replace(kept["model"], origin="")
        defaults = {**_DEFAULTS, **_FINE_TUNING, **kept}
    return choose_settings(defaults, _recipe(recipe, start), chosen), preprocess


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


def _outlier_source(outliers: PathLike | None) -> str | None:
    """What was said of it; nothing where no outliers were named."""
    if outliers is None:
        return None
    return SELF if outliers == SELF else FOLDER


def _augmentation(given: Words) -> tuple[str, ...]:
    return () if given == _NO_AUGMENTATION else tuple(sorted(set(words(given))))


def _cache(given: PathLike | None) -> Cache | None:
    if given is None:
        return default_cache()
    if not str(given):
        raise InputError("the cache is '', expected a folder or none", hint="--cache DIR, or none")
    return None if str(given) == _NO_CACHE else Cache(Path(given))


def _leave_page(run: Path, progress: Progress) -> None:
    if os.environ.get("RANK", "0") == "0":  # torchrun starts many of us, and one writes
        leave_training_page(run, progress.on_note)
