"""Training: image folders become a run directory. The loop is `train_steps`.

`train` reads, starts, measures, trains and finishes, a paragraph each.
"""

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.objectives import OBJECTIVES, Measured, Objective
from edge_ood.training.averaging import update_average
from edge_ood.training.batches import step_seed
from edge_ood.training.cache import Cache
from edge_ood.training.checkpoint import State, load_checkpoint, new_state
from edge_ood.training.configuration import complete, configure
from edge_ood.training.devices import settle_precision, start_fabric
from edge_ood.training.energies import Energies
from edge_ood.training.evaluation import (
    check_kept_head,
    evaluate,
    mean_output,
    measure_energies,
)
from edge_ood.training.freezing import set_trunk
from edge_ood.training.keeping import has_ended, kept_epoch
from edge_ood.training.left_on_disk import replace_or_keep_run, save_state, write_finished
from edge_ood.training.notes import starting_notes
from edge_ood.training.optimisation import clip_gradients, learning_rate, set_rate
from edge_ood.training.outlier_look import outliers_note
from edge_ood.training.progress import SILENT, Meter, Progress, TrainReport, conclude
from edge_ood.training.resume import (
    check_same_images,
    check_same_options,
    find_run,
    locked_run,
    prepare_directory,
)
from edge_ood.training.run_directory import (
    EpochReport,
    Run,
    RunConfig,
    read_metrics,
)
from edge_ood.training.session import Session, start_session
from edge_ood.training.settings import BEST, Settings
from edge_ood.training.step_outliers import batch_at
from edge_ood.training.store import Reading, stored
from edge_ood.training.summary import summary
from edge_ood.training.targets import with_targets
from edge_ood.training.training_set import Folders, read_training_set, with_splits

__all__ = ["Launch", "train", "train_steps"]


@dataclass(frozen=True)
class Launch:
    """Where and how to start; none of it is meant to change the trained weights.

    Attributes:
        device: `auto`, `cpu` or `cuda`.
        resume: Continue the run in the output folder; start it where there is none.
        force: Replace the run in the output folder.
        cache: Where decoded images are kept for later runs; None keeps them for this run alone.
        skip_broken: Go on without images that cannot be decoded, and record them.
        checkpoint_s: Longest time between two checkpoints, in seconds; each epoch ends with one.
    """

    device: str = "auto"
    resume: bool = False
    force: bool = False
    cache: Cache | None = None
    skip_broken: bool = False
    checkpoint_s: float = 60.0


def train(
    folders: Folders,
    settings: Settings,
    preprocess: Preprocess,
    output: Path,
    *,
    launch: Launch = Launch(),
    progress: Progress = SILENT,
) -> TrainReport:
    """Train a classifier on image folders.

    Args:
        folders: Training images, and optionally outliers, calibration and validation images and
            a finished run or somebody's weights to start from.
        settings: Model, objective and recipe.
        preprocess: Image size and resize policy; mean and std are measured on the training images,
            or those of the weights to start from, which decide all of it where they are no run's.
        output: The run directory.
        launch: Device, and what to do with an existing run.
        progress: Callbacks.

    Raises:
        InputError: If a setting or the output folder is unusable, or the loss is not finite.
        DataError: If images are unusable, or the classifier is no better than chance, in which
            case the run is complete all the same.
        ArtifactError: If the run to be resumed or to start from is damaged or missing.
    """
    folders, layout = with_splits(folders)
    settings, precision_note = settle_precision(settings, launch.device)
    config, first = configure(settings, preprocess, folders)
    fabric = start_fabric(launch.device, config.settings)
    progress = progress if fabric.is_global_zero else SILENT
    prepare_directory(
        output, resume=launch.resume, force=launch.force, start=folders.run_to_start_from
    )
    for note in layout:
        progress.on_note(note)
    with locked_run(output) if fabric.is_global_zero else nullcontext():
        fabric.barrier()
        earlier = _run_to_resume(output, config) if launch.resume else None
        if earlier is not None and earlier.is_finished:
            progress.on_note(f"'{output}' is already finished")
            return conclude(earlier, read_metrics(output))
        images = read_training_set(
            folders,
            stored(config.preprocess, config.settings.augmentation),
            settings.seed,
            output,
            past=first.past,
            reading=Reading(launch.cache, launch.skip_broken, progress.on_image, progress.on_note),
        )
        run = Run(output, complete(config, images, first, fabric), images.splits, images.broken)
        first = first.for_classes(len(run.config.classes), new_head=settings.new_head)
        if earlier is not None:
            check_same_images(earlier, run)
        progress.on_start(run)
        said = (*images.notes, *outliers_note(images), *first.notes, *precision_note)
        for note in (*said, *starting_notes(run, earlier)):
            progress.on_note(note)

        session = start_session(fabric, run.config, images, first)
        parameters = sum(weights.numel() for weights in session.classifier.parameters())
        progress.on_summary(summary(run, parameters, session.batches.steps_per_epoch))
        if first.is_somebody_elses and first.heads:
            check_kept_head(session)

        measured = _measured(session, progress) if earlier is None else earlier.config.measured
        run = replace(run, config=replace(run.config, measured=measured))
        session = replace(session, parameters=run.config.objective_parameters)

        replace_or_keep_run(run, fabric, earlier)
        state = _starting_state(session, output, earlier)
        train_steps(session, state, output, launch=launch, progress=progress)
        if state.kept:
            session.judged.load_state_dict(state.kept)

        energies = Energies(state.energies, measure_energies(session))
        if fabric.is_global_zero:
            write_finished(output, session, state, energies)
        fabric.barrier()
        return conclude(run, tuple(state.epochs))


def train_steps(
    session: Session, state: State, output: Path, *, launch: Launch, progress: Progress
) -> None:
    """All steps from `state.step` on, with any objective; an epoch may be the last before its time.

    The weights are then those after the last step, with `state.kept` to be put in their place.
    """
    batches, settings = session.batches, session.batches.settings
    objective: Objective = OBJECTIVES.get(settings.objective.name)
    total_steps = settings.epochs * batches.steps_per_epoch
    meter = Meter(batches.size, batches.steps_per_epoch, total_steps, state.step)
    saved_s = time.monotonic()
    session.classifier.train()
    while state.step < total_steps and not has_ended(settings, state.epochs):
        started_s, step = time.monotonic(), state.step
        torch.manual_seed(step_seed(settings.seed, step, batches.share.rank))
        rate = learning_rate(step, settings, steps_per_epoch=batches.steps_per_epoch)
        set_rate(session.optimizer, rate)
        set_trunk(session.classifier, settings, step // batches.steps_per_epoch)

        batch = with_targets(session, batch_at(session, step), step)
        for loss in objective.losses(session.model, batch, **session.parameters):
            session.fabric.backward(loss)
            clip_gradients(session.classifier, settings)
            session.optimizer.step()
            session.optimizer.zero_grad()
            state.loss_sum += loss.detach()
            state.losses += 1

        if session.averaged is not None:
            update_average(session.averaged, session.classifier)
        state.step = step + 1
        epoch_ends = state.step % batches.steps_per_epoch == 0
        if epoch_ends or meter.is_due():
            progress.on_step(meter.report(state.step, loss.item()))  # waits for the device
        state.seconds += time.monotonic() - started_s
        if epoch_ends:
            progress.on_epoch(_close_epoch(session, state, rate))
        if epoch_ends or time.monotonic() - saved_s > launch.checkpoint_s:
            save_state(output, session, state)
            saved_s = time.monotonic()
    if state.step < total_steps:
        progress.on_note(
            f"no higher validation accuracy for {settings.patience} epochs: training ends after"
            f" epoch {len(state.epochs)} of {settings.epochs}"
        )


def _close_epoch(session: Session, state: State, rate: float) -> EpochReport:
    """Validate, keep the weights if they are the best, and start the sums of the next epoch."""
    epoch = len(state.epochs) + 1
    mean_loss = session.fabric.all_reduce(state.loss_sum / state.losses)
    assert isinstance(mean_loss, torch.Tensor)
    loss = mean_loss.item()
    if not math.isfinite(loss):
        raise InputError(
            f"the training loss of epoch {epoch} is {loss}, expected a finite number",
            hint=f"lower --lr {session.batches.settings.learning_rate}",
        )
    images = session.batches.steps_per_epoch * session.batches.size
    accuracy, first_head, second_head = evaluate(session)
    report = EpochReport(
        epoch=epoch,
        learning_rate=rate,
        training_loss=loss,
        validation_accuracy=accuracy,
        images_per_s=images / state.seconds,
        seconds=state.seconds,
        first_head_accuracy=first_head,
        second_head_accuracy=second_head,
    )
    state.epochs.append(report)
    settings = session.batches.settings
    if settings.keep == BEST and kept_epoch(settings, state.epochs) == epoch:
        state.kept = {name: each.clone() for name, each in session.judged.state_dict().items()}
    state.loss_sum = torch.zeros_like(state.loss_sum)
    state.losses, state.seconds = 0, 0.0
    return report


def _run_to_resume(output: Path, config: RunConfig) -> Run | None:
    """The run in a directory, which must have these options; None where there is none yet."""
    earlier = find_run(output)
    if earlier is not None:
        check_same_options(earlier, config)
    return earlier


def _measured(session: Session, progress: Progress) -> Mapping[str, float]:
    """What the objective finds out about its first weights, once and for all."""
    objective = session.batches.settings.objective
    measure = OBJECTIVES.get(objective.name).measure
    if measure is None:
        return {}
    found: Measured = measure(partial(mean_output, session), **objective.parameters)
    progress.on_note(found.note)
    return found.parameters


def _starting_state(session: Session, output: Path, earlier: Run | None) -> State:
    """The state before the first step, or where the earlier run was saved last."""
    if earlier is None:
        state = new_state(session)
    else:
        state = load_checkpoint(output / "last.ckpt", session)
        session.fabric.barrier()  # every process has read it: one may replace it now
    if not state.step:
        state.energies = measure_energies(session)
    return state
