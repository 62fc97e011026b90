"""`edge_ood.train`: image folders become a run directory, as `edge-ood train` does it."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ood.api.plain import PathLike, Words, path_or_none, rgb, spec, words
from edge_ood.api.train_settings import (
    augmentations,
    check_start,
    outlier_source,
    own_objective,
    settled,
)
from edge_ood.errors import ChanceLevelError, InputError, MissingDependencyError
from edge_ood.registry import Spec
from edge_ood.report.leave import leave_training_page
from edge_ood.sources import is_stored
from edge_ood.training.cache import Cache, default_cache
from edge_ood.training.loggers import chosen_loggers, telling
from edge_ood.training.progress import SILENT, Progress
from edge_ood.training.settings import FROZEN, PUBLISHED, SELF

if TYPE_CHECKING:
    from edge_ood.training.progress import TrainReport

__all__ = ["train"]

_NO_CACHE = "none"


def train(
    data: PathLike,
    output: PathLike,
    *,
    outliers: PathLike | None = None,
    calibration: PathLike | None = None,
    validation: PathLike | None = None,
    unlabelled: PathLike | None = None,
    start: PathLike | None = None,
    weights: PathLike | None = None,
    new_head: bool = False,
    freeze: str | int | None = None,
    batch_norm: str | None = None,
    head_lr: float | None = None,
    trust: bool = False,
    recipe: str | None = None,
    objective: str | Spec | None = None,
    model: str | Spec | None = None,
    heads: int | None = None,
    image_size: int | None = None,
    resize: str | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    mean: str | float | Sequence[float] | None = None,
    std: str | float | Sequence[float] | None = None,
    augmentation: Words | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    outlier_batch_size: int | None = None,
    outlier_sampling: str | None = None,
    shuffled_share: float | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    final_lr: float | None = None,
    warmup: float | None = None,
    schedule: str | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    clip_norm: float | None = None,
    average: str | None = None,
    label_smoothing: float | None = None,
    mixup: float | None = None,
    balance: str | None = None,
    keep: str | None = None,
    patience: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str | None = None,
    compile: bool = False,
    cache: PathLike | None = None,
    skip_broken: bool = False,
    resume: bool = False,
    force: bool = False,
    log: Words = (),
    progress: Progress = SILENT,
) -> "TrainReport":
    """Train a classifier on image folders, and write a run directory.

    What is left out is as `recipe` says, else as the run `start` has it, else the default that
    `edge-ood train --help` names.

    Args:
        data: Training images, `data/<class>/<file>`; or a folder of `train`, `val` and `test` that
            hold such images, of which `test` is left alone.
        output: The run directory.
        outliers: Folder of images of anything but the classes; archives of them, which are read
            while training goes on (`"train-{000..127}.tar"`, also of object stores, see
            `edge_ood.sources`); the word `self` for outliers that
            are made of the training images of each step. A folder of that name is `./self`.
        calibration: Folder of images for thresholds alone; a stratified 10 % of `data` if None.
        validation: `validation/<class>/<file>`; if None, `data/val` where there is one, else a
            further 5 % of `data`.
        unlabelled: Folder of the pool that transductive objectives learn from.
        start: A finished run to fine-tune; its splits, network and preprocessing go on.
        weights: A file of weights of `model`, safetensors or a state dict, whoever trained it; the
            word `pretrained` for those that torchvision or timm publish. A file of that name is
            `./pretrained`.
        new_head: Whether the last layer of `weights` starts afresh, even where it tells as many
            classes apart as `data` has.
        freeze: How many of the first epochs the trunk of `weights` or `start` keeps its values, or
            `"all"`, for a linear probe.
        batch_norm: `frozen` keeps the statistics of batch normalisation that came with `weights` or
            `start`; `learned` takes those of each batch, by each process of its own share;
            `synchronized` those over all processes.
        head_lr: Learning rate of the heads, as a multiple of `lr`.
        trust: Whether `start` may name code to run, if its network is a function of somebody's own
            and `model` does not name it again.
        recipe: Name of a published way to train.
        objective: Name and parameters, such as `"outlier-exposure:weight=0.5"`, or
            `"package.module:OBJECTIVE"` of your own.
        model: Name and parameters, or `"package.module:function"`, which runs your own code.
        heads: Linear heads, 1 or 2.
        image_size: Side of the network's input in pixels.
        resize: `center-crop` or `stretch`.
        crop: Share of the resized side that the network sees: 0.875 is the central 224 of 256 px.
        interpolation: `bilinear` or `bicubic`.
        mean: Per RGB channel, that `weights` expect; theirs where it is known.
        std: Per RGB channel, that `weights` expect; theirs where it is known.
        augmentation: Some of `crop`, `flip`, `resized-crop`, `color`, `rotate`, `blur`, `erase` and
            `trivial` (TrivialAugmentWide), as `"resized-crop,flip,trivial"`, or `"none"`.
        epochs: Passes over the training images.
        batch_size: Training images per step.
        outlier_batch_size: Outliers or unlabelled images per step.
        outlier_sampling: `random`, or `diverse`: of six candidates for each outlier those that look
            most like ID images, one of each cluster.
        shuffled_share: Of an image's pixels, with `outliers="self"`, in (0, 1].
        optimizer: `sgd` or `adamw`.
        lr: The largest learning rate: at the first step, or after the warm-up.
        final_lr: Where its cosine ends.
        warmup: Epochs, or parts of one, in which the rate rises to `lr`.
        schedule: `cosine`; `constant`; or `step`, divided by ten at half and three quarters.
        momentum: Nesterov's, in [0, 1), with `sgd`.
        weight_decay: L2, of all weights; with `adamw` apart from the gradient.
        clip_norm: The L2 norm to which longer gradients are shortened.
        average: `ema` validates and saves a moving average of the weights; `none`.
        label_smoothing: Share of each target that all classes have in equal parts, in [0, 1). It
            often ruins scores that read logits.
        mixup: Both parameters of the beta distribution by which images are mixed in pairs, as 0.2.
        balance: `loss` lets images of small classes count more, `sampling` draws each class
            equally often; `none`.
        keep: Weights of the `last` epoch, or of the `best` by validation accuracy, of several the
            latest.
        patience: Epochs without a higher validation accuracy after which training ends.
        seed: Decides every random draw.
        device: `auto`, `cpu` or `cuda`.
        precision: `fp32`, `bf16`, or `auto`: `bf16` where this machine multiplies it fast.
        compile: Whether `torch.compile` writes the kernels.
        cache: Folder for decoded images, which later runs use; the word `none` for nowhere. Where
            none is given, more than 500 MB of them are kept in `~/.cache/edge-ood`.
        skip_broken: Go on without images that cannot be decoded, and record them in the run.
        resume: Continue a run that was interrupted; start it where there is none.
        force: Replace what is in `output`.
        log: Where to tell of each epoch besides `metrics.csv`, as `["tensorboard"]` or `"mlflow"`:
            event files in the folder `tensorboard` of the run, or MLflow's tracking URI.
        progress: Callbacks; the function itself prints nothing.

    Returns:
        The run and one report for each epoch.

    Raises:
        InputError: If an option is unknown, out of range or does not fit another.
        DataError: If images are unusable, or the classifier is no better than chance, in which
            case the run is complete all the same.
        ArtifactError: If the run to resume or to start from is damaged or missing.
        MissingDependencyError: If torch is not installed, or what `log` needs.
    """
    chosen = {
        "model": None if model is None else spec(model),
        "objective": None if objective is None else own_objective(spec(objective)),
        "heads": heads,
        "augmentation": None if augmentation is None else augmentations(augmentation),
        "epochs": epochs,
        "batch_size": batch_size,
        "outlier_batch_size": outlier_batch_size,
        "outlier_sampling": outlier_sampling,
        "outlier_source": outlier_source(outliers),
        "shuffled_share": shuffled_share,
        "optimizer": optimizer,
        "learning_rate": lr,
        "final_learning_rate": final_lr,
        "warmup": warmup,
        "schedule": schedule,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "average": average,
        "label_smoothing": label_smoothing,
        "mixup": mixup,
        "balance": balance,
        "keep": keep,
        "patience": patience,
        "new_head": new_head,
        "freeze": None if freeze is None else str(freeze),
        "batch_norm": batch_norm,
        "head_rate": head_lr,
        "precision": precision,
        "compile": compile,
        "seed": seed,
    }
    colours: dict[str, Any] = {"mean": rgb("--mean", mean), "std": rgb("--std", std)}
    said = {"--mean": mean, "--std": std, "--new-head": new_head}
    frozen = batch_norm if batch_norm == FROZEN else None
    check_start(start, weights, {**said, "--freeze": freeze, "--batch-norm": frozen})
    settings, preprocess = settled(path_or_none(start), weights, recipe, chosen, trust=trust)
    given: dict[str, Any] = {
        "size_px": image_size,
        "resize": resize,
        "crop": crop,
        "interpolation": interpolation,
    }
    try:
        from edge_ood.training.train import Launch  # noqa: PLC0415  # imports torch
        from edge_ood.training.train import train as train_run  # noqa: PLC0415  # imports torch
        from edge_ood.training.training_set import Folders  # noqa: PLC0415
        from edge_ood.weights.source import NetworkSource  # noqa: PLC0415  # imports torch
    except ModuleNotFoundError as error:
        raise MissingDependencyError("training", error.name or "torch", "train") from error

    output = Path(output)
    beginning: Path | NetworkSource | None = path_or_none(start)
    if weights is None:
        preprocess = replace(preprocess, **{n: v for n, v in given.items() if v is not None})
    else:
        file = None if weights == PUBLISHED else Path(weights)
        beginning = NetworkSource(settings.model, file, **given, **colours)
    archives = str(outliers) if outliers not in (None, SELF) and is_stored(str(outliers)) else ""
    folders = Folders(
        training=Path(data),
        outliers=None if outliers == SELF or archives else path_or_none(outliers),
        outlier_archives=archives,
        calibration=path_or_none(calibration),
        validation=path_or_none(validation),
        unlabelled=path_or_none(unlabelled),
        start=beginning,
    )
    launch = Launch(
        device, resume=resume, force=force, cache=_cache(cache), skip_broken=skip_broken
    )
    loggers = chosen_loggers(words(log) if _is_first() else (), output if resume else None)
    try:
        with telling(loggers, progress) as told:
            report = train_run(folders, settings, preprocess, output, launch=launch, progress=told)
    except ChanceLevelError:  # the run is there all the same, and its page says what went wrong
        _leave_page(output, progress)
        raise
    _leave_page(output, progress)
    return report


def _cache(given: PathLike | None) -> Cache | None:
    if given is None:
        return default_cache()
    if not str(given):
        raise InputError("the cache is '', expected a folder or none", hint="--cache DIR, or none")
    return None if str(given) == _NO_CACHE else Cache(Path(given))


def _leave_page(run: Path, progress: Progress) -> None:
    if _is_first():
        leave_training_page(run, progress.on_note)


def _is_first() -> bool:
    """Whether it is for this process to write: torchrun starts many of us."""
    return os.environ.get("RANK", "0") == "0"
