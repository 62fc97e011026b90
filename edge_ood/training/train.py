"""Training: image folders become a run directory. The loop is `train_steps`."""

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import safetensors.torch
import torch
from lightning_fabric import Fabric

from edge_ood.errors import InputError
from edge_ood.files.output import atomic_output
from edge_ood.images.preprocess import Preprocess
from edge_ood.models import bind_model, build_classifier, check_input
from edge_ood.objectives import (
    OBJECTIVES,
    Measured,
    Needs,
    Objective,
    bind_objective,
    example_with,
    needs_of,
)
from edge_ood.training.batches import step_seed
from edge_ood.training.compilation import check_compiler
from edge_ood.training.energies import Energies, write_energies
from edge_ood.training.fine_tuning import check_start, read_start, record_start
from edge_ood.training.progress import SILENT, Meter, Progress, TrainReport, conclude
from edge_ood.training.resume import (
    check_same_images,
    check_same_options,
    clear_run,
    environment_notes,
    find_run,
    prepare_directory,
)
from edge_ood.training.run_directory import (
    EpochReport,
    Run,
    RunConfig,
    read_metrics,
    write_metrics,
    write_run,
)
from edge_ood.training.session import (
    Session,
    State,
    evaluate,
    load_checkpoint,
    mean_output,
    measure_energies,
    new_state,
    save_checkpoint,
    start_fabric,
    start_session,
)
from edge_ood.training.settings import Settings
from edge_ood.training.training_set import (
    Folders,
    TrainingSet,
    channel_statistics,
    read_training_set,
)

__all__ = ["Launch", "learning_rate", "train", "train_steps"]

_ROLES = {"outliers": "outliers", "unlabelled": "unlabelled images"}
"""What messages call images that not every objective uses."""
_FEWEST_CALIBRATION_IMAGES = 19  # smallest n with ceil(0.95 (n + 1)) <= n


@dataclass(frozen=True)
class Launch:
    """Where and how to start; none of it is meant to change the trained weights.

    Attributes:
        device: `auto`, `cpu` or `cuda`.
        resume: Continue the run in the output folder; start it where there is none.
        force: Replace the run in the output folder.
        checkpoint_s: Longest time between two checkpoints, in seconds; each epoch ends with one.
    """

    device: str = "auto"
    resume: bool = False
    force: bool = False
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
            a finished run to start from.
        settings: Model, objective and recipe.
        preprocess: Image size and resize policy; mean and std are measured on the training images,
            or those of the run to start from.
        output: The run directory.
        launch: Device, and what to do with an existing run.
        progress: Callbacks.

    Raises:
        InputError: If a setting or the output folder is unusable, or the loss is not finite.
        DataError: If images are unusable, or the classifier is no better than guessing, in which
            case the run is complete all the same.
        ArtifactError: If the run to be resumed or to start from is damaged or missing.
    """
    start = None if folders.start is None else read_start(folders.start)
    config = _checked(RunConfig(settings, (), preprocess), folders, start)
    fabric = start_fabric(launch.device, config.settings)
    if config.settings.compile:
        check_compiler(fabric.device)
    prepare_directory(output, resume=launch.resume, force=launch.force, start=folders.start)
    fabric.barrier()
    if not fabric.is_global_zero:
        progress = SILENT
    earlier = find_run(output) if launch.resume else None
    if earlier is not None:
        check_same_options(earlier, config)
        if earlier.is_finished:
            progress.on_note(f"'{output}' is already finished")
            return conclude(earlier, read_metrics(output))
    training_set = read_training_set(
        folders, config.preprocess, settings.seed, output, start=start, on_image=progress.on_image
    )
    run = _describe(output, config, training_set, fabric)
    if earlier is not None:
        check_same_images(earlier, run)
    for note in (*training_set.notes, *_notes(run, earlier)):
        progress.on_note(note)
    session = start_session(fabric, run.config, training_set, start)
    run = _measured(run, session, earlier, progress)
    session = replace(session, parameters=run.config.objective_parameters)
    state = _open(run, session, earlier)
    train_steps(session, state, output, launch=launch, progress=progress)
    energies = Energies(state.energies, measure_energies(session))
    if fabric.is_global_zero:
        _finish(output, session, state, energies)
    fabric.barrier()
    return conclude(run, tuple(state.epochs))


def learning_rate(step: int, *, peak: float, final: float, total_steps: int) -> float:
    """Cosine from `peak` at step 0 towards `final` at `total_steps`."""
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * step / total_steps))


def _measured(run: Run, session: Session, earlier: Run | None, progress: Progress) -> Run:
    """The run with what the objective finds out about its first weights, once and for all."""
    settings = run.config.settings
    measure = OBJECTIVES.get(settings.objective.name).measure
    if earlier is not None:
        return replace(run, config=replace(run.config, measured=earlier.config.measured))
    if measure is None:
        return run
    found: Measured = measure(partial(mean_output, session), **settings.objective.parameters)
    progress.on_note(found.note)
    return replace(run, config=replace(run.config, measured=found.parameters))


def _open(run: Run, session: Session, earlier: Run | None) -> State:
    """The state before the first step, or where the earlier run was saved last."""
    session.fabric.barrier()  # every process has looked for an earlier run: one may write now
    if session.fabric.is_global_zero:
        clear_run(run.path, keep_run=earlier is not None)
    if earlier is not None:
        state = load_checkpoint(run.path / "last.ckpt", session)
        session.fabric.barrier()  # every process has read it: one may replace it now
    else:
        state = new_state(session)
        if session.fabric.is_global_zero:
            write_run(run)
    if not state.step:
        state.energies = measure_energies(session)
    return state


def train_steps(
    session: Session, state: State, output: Path, *, launch: Launch, progress: Progress
) -> None:
    """All steps from `state.step` on, with any objective."""
    batches, settings = session.batches, session.batches.settings
    objective: Objective = OBJECTIVES.get(settings.objective.name)
    total_steps = settings.epochs * batches.steps_per_epoch
    rate = partial(
        learning_rate,
        peak=settings.learning_rate,
        final=settings.final_learning_rate,
        total_steps=total_steps,
    )
    meter = Meter(batches.size, batches.steps_per_epoch, total_steps, state.step)
    saved_s = time.monotonic()
    session.classifier.train()
    for step in range(state.step, total_steps):
        started_s = time.monotonic()
        torch.manual_seed(step_seed(settings.seed, step, batches.share.rank))
        for group in session.optimizer.param_groups:
            group["lr"] = rate(step)

        for loss in objective.losses(session.model, batches.at(step), **session.parameters):
            session.fabric.backward(loss)
            session.optimizer.step()
            session.optimizer.zero_grad()
            state.loss_sum += loss.detach()
            state.losses += 1

        state.step = step + 1
        epoch_ends = state.step % batches.steps_per_epoch == 0
        if epoch_ends or meter.is_due():
            progress.on_step(meter.report(state.step, loss.item()))  # waits for the device
        state.seconds += time.monotonic() - started_s
        if epoch_ends:
            progress.on_epoch(_close_epoch(session, state, rate(step)))
        if epoch_ends or time.monotonic() - saved_s > launch.checkpoint_s:
            _save(output, session, state)
            saved_s = time.monotonic()


def _close_epoch(session: Session, state: State, rate: float) -> EpochReport:
    """Validate, and start the sums of the next epoch."""
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
    state.loss_sum = torch.zeros_like(state.loss_sum)
    state.losses, state.seconds = 0, 0.0
    return report


def _checked(config: RunConfig, folders: Folders, start: Run | None) -> RunConfig:
    """The configuration with every parameter filled in; refuses what does not fit together."""
    objective = bind_objective(config.settings.objective)
    settings = config.settings
    _check_needs(needs_of(objective), settings, folders)
    settings = replace(settings, model=bind_model(settings.model), objective=objective)
    build_classifier(settings.model, 2, heads=settings.heads)
    check_input(settings.model, config.preprocess.size_px, settings.batch_size)
    if start is None:
        return replace(config, settings=settings)
    check_start(start, settings, config.preprocess)
    return RunConfig(settings, (), start.config.preprocess, start=record_start(start))


def _check_needs(needs: Needs, settings: Settings, folders: Folders) -> None:
    """Refuse images that nothing uses, and an objective without what it needs."""
    objective = settings.objective.name
    for role, images in _ROLES.items():
        folder = getattr(folders, role)
        if folder is not None and role not in needs.folders:
            raise InputError(
                f"objective {objective!r} makes no use of {images}, got '{folder}'",
                hint=f"drop --{role}, or --objective {example_with(role)}",
            )
        if folder is None and role in needs.folders:
            raise InputError(
                f"objective {objective!r} needs {images}, got none",
                hint=f"--{role} DIR, or --objective {example_with(None)}",
            )
    if settings.heads < needs.heads:
        raise InputError(
            f"objective {objective!r} needs {needs.heads} heads, got {settings.heads}",
            hint=f"--heads {needs.heads}",
        )
    if needs.trained and folders.start is None:
        raise InputError(
            f"objective {objective!r} needs the weights of a finished run, got none",
            hint=f"--from RUN, or --objective {needs.trained}",
        )


def _describe(output: Path, config: RunConfig, training_set: TrainingSet, fabric: Fabric) -> Run:
    preprocess = config.preprocess
    if config.start is None:
        mean, std = channel_statistics(training_set.pixels["training"])
        preprocess = replace(preprocess, mean=mean, std=std)
    environment = {
        "edge_ood": metadata.version("edge-ood"),
        "torch": torch.__version__,
        "device": fabric.device.type,
        "threads": torch.get_num_threads(),
        "processes": fabric.world_size,
    }
    config = replace(
        config,
        classes=training_set.splits["training"].classes,
        preprocess=preprocess,
        environment=environment,
    )
    return Run(output, config, training_set.splits)


def _notes(run: Run, earlier: Run | None) -> list[str]:
    notes = [] if earlier is None else environment_notes(earlier, run)
    images = len(run.splits["calibration"])
    if images < _FEWEST_CALIBRATION_IMAGES:
        notes.append(
            f"{images} calibration images: a 5% false-alarm rate needs"
            f" {_FEWEST_CALIBRATION_IMAGES}, so export will ask for more or for a larger --alpha"
        )
    return notes


def _save(output: Path, session: Session, state: State) -> None:
    if session.fabric.is_global_zero:
        save_checkpoint(output / "last.ckpt", session, state)
        write_metrics(output, state.epochs)


def _finish(output: Path, session: Session, state: State, energies: Energies) -> None:
    """Write the weights; the checkpoint goes last, so that a kill in between loses nothing."""
    write_metrics(output, state.epochs)
    write_energies(output, energies)
    weights = {name: t.cpu().contiguous() for name, t in session.classifier.state_dict().items()}
    with atomic_output(output / "model.safetensors") as temporary:
        temporary.write_bytes(safetensors.torch.save(weights))
    (output / "last.ckpt").unlink(missing_ok=True)
