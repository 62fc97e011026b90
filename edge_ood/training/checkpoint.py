"""What changes during training, and the file from which a killed run goes on with the same bits."""

import io
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from edge_ood.errors import ArtifactError
from edge_ood.files.document import Document, newer_format
from edge_ood.files.output import atomic_output
from edge_ood.files.regular import read_regular
from edge_ood.training.damage import DAMAGE
from edge_ood.training.energies import EnergySample, energy_samples
from edge_ood.training.run_directory import EpochReport, check_epoch
from edge_ood.training.session import Session
from edge_ood.training.settings import ADAMW, BEST

__all__ = ["State", "load_checkpoint", "new_state", "save_checkpoint"]

_FORMAT = 1
_REMEMBERED = {ADAMW: {"step", "exp_avg", "exp_avg_sq"}}
"""What an optimiser knows of each weight that it has changed; of others, `momentum_buffer`."""

_MOST_COUNTED = 1 << 53
"""Beyond that a float64, such as the sum that is divided by it, tells no number from the next."""


@dataclass
class State:
    """What changes during training, apart from weights and momentum.

    Attributes:
        step: Batches done since the start of the run.
        loss_sum: Over the optimiser steps of this epoch so far, float64 scalar on the device.
        losses: How many optimiser steps that is.
        seconds: Wall time of this epoch so far.
        epochs: Reports of the finished epochs.
        energies: By split, with the weights before the first step.
        kept: State of the network after the best epoch so far, where that is what a run keeps.
    """

    loss_sum: Tensor
    step: int = 0
    losses: int = 0
    seconds: float = 0.0
    epochs: list[EpochReport] = field(default_factory=list)
    energies: dict[str, EnergySample] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)


def new_state(session: Session) -> State:
    """The state before the first step."""
    return State(torch.zeros((), dtype=torch.float64, device=session.fabric.device))


def save_checkpoint(path: Path, session: Session, state: State) -> None:
    """Write everything that a killed run needs to go on with the same bits.

    Raises:
        DataError: If the disk is full; the previous checkpoint stays.
    """
    content = io.BytesIO()
    torch.save(
        {
            "format": _FORMAT,
            "step": state.step,
            "loss_sum": state.loss_sum,
            "losses": state.losses,
            "seconds": state.seconds,
            "epochs": [asdict(epoch) for epoch in state.epochs],
            "energies": {split: asdict(sample) for split, sample in state.energies.items()},
            "classifier": session.classifier.state_dict(),
            "optimizer": session.optimizer.state_dict(),
            "averaged": None if session.averaged is None else session.averaged.state_dict(),
            "kept": state.kept,
        },
        content,
    )
    with atomic_output(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_checkpoint(path: Path, session: Session) -> State:
    """Fill the session from a checkpoint; a run without one starts at its first step.

    Raises:
        ArtifactError: If the checkpoint is damaged or from a newer edge-ood.
    """
    if not path.exists():
        return new_state(session)
    try:
        content: dict[str, Any] = torch.load(
            io.BytesIO(read_regular(path)), map_location=session.fabric.device, weights_only=True
        )
        if content["format"] > _FORMAT:
            raise newer_format(path, content["format"], _FORMAT)
        state = _state(content, session)
        _check_optimizer(content["optimizer"], session)
        if session.averaged is not None:
            _check_averaged(content["averaged"], session.averaged, state.step)
            session.averaged.load_state_dict(content["averaged"])
        session.classifier.load_state_dict(content["classifier"])
        session.optimizer.load_state_dict(content["optimizer"])
    except (*DAMAGE, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ArtifactError(
            f"'{path}' is damaged: {reason}", hint="start again with --force"
        ) from error
    return state


def _state(content: Mapping[str, Any], session: Session) -> State:
    state = State(
        loss_sum=content["loss_sum"],
        step=content["step"],
        losses=content["losses"],
        seconds=Document(content).get("seconds", float),
        epochs=[_epoch(epoch) for epoch in content["epochs"]],
        energies=_energies(content.get("energies", {})),  # earlier versions saved none
        kept=content.get("kept", {}),  # nor these
    )
    is_kept = session.batches.settings.keep == BEST and bool(state.epochs)
    _check_alike(state.kept, session.judged.state_dict() if is_kept else {}, "kept weights")
    batches, loss_sum = session.batches, state.loss_sum
    if not _is_alike(loss_sum, new_state(session).loss_sum):
        raise ValueError("the sum of its losses is no number")
    counts = (state.step, state.losses)
    if any(type(count) is not int or not 0 <= count < _MOST_COUNTED for count in counts):
        raise ValueError(f"it counts {state.step!r} steps and {state.losses!r} losses")
    epochs, steps = divmod(state.step, batches.steps_per_epoch)
    if state.step > batches.settings.epochs * batches.steps_per_epoch:
        raise ValueError(f"it counts {state.step} steps, more than training takes")
    if [epoch.epoch for epoch in state.epochs] != list(range(1, epochs + 1)):
        raise ValueError(f"{len(state.epochs)} epochs are reported in {state.step} steps")
    if not 0 <= state.seconds < math.inf or bool(state.losses) != bool(steps):
        raise ValueError(f"{state.losses} losses in {state.seconds} s of {steps} steps")
    return state


def _epoch(saved: Mapping[str, Any]) -> EpochReport:
    fields = Document(saved)
    others = {name: fields.get(name, float) for name in saved if name != "epoch"}
    epoch = EpochReport(fields.get("epoch", int), **others)
    check_epoch(epoch)
    return epoch


def _check_optimizer(saved: Mapping[str, Any], session: Session) -> None:
    """Refuse what the optimiser would take, and fail on with its next step."""
    now = session.optimizer.state_dict()["param_groups"]
    changing = ("lr", "initial_lr")
    for group in saved["param_groups"]:
        group.setdefault("factor", 1.0)  # earlier versions had one rate for all weights
    if [_without(group, changing) for group in saved["param_groups"]] != [
        _without(group, changing) for group in now
    ]:
        raise ValueError("its optimiser is another")
    parameters = list(session.classifier.parameters())
    expected = _REMEMBERED.get(session.batches.settings.optimizer, {"momentum_buffer"})
    for position, buffers in saved["state"].items():
        if set(buffers) != expected:
            raise ValueError("its optimiser knows something else of a weight")
        _check_buffers(buffers, parameters[position])


def _check_buffers(buffers: Mapping[str, Any], weight: Tensor) -> None:
    for name, found in buffers.items():
        like = torch.zeros((), device=found.device) if name == "step" else weight
        is_missing = found is None and name == "momentum_buffer"
        if not is_missing and not _is_alike(found, like):
            raise ValueError(f"the {name} of a weight has another shape or type")
    if not 0 <= buffers.get("step", 0) < _MOST_COUNTED:
        raise ValueError(f"its optimiser counts {buffers['step']} steps")


def _check_averaged(saved: Mapping[str, Tensor], averaged: AveragedModel, step: int) -> None:
    """Refuse averages of another network, or of another number of steps."""
    (weights, *_) = averaged.module.parameters()
    expected = {name: value.to(weights.device) for name, value in averaged.state_dict().items()}
    _check_alike(saved, expected, "averages")
    if saved["n_averaged"] != step:
        raise ValueError(f"its averages are of {int(saved['n_averaged'])} steps, not {step}")


def _check_alike(found: object, expected: Mapping[str, Tensor], what: str) -> None:
    """Refuse tensors that are not of the expected names, shapes and types."""
    if not isinstance(found, dict) or found.keys() != expected.keys():
        raise ValueError(f"its {what} are not those of the network")
    for name, tensor in expected.items():
        if not _is_alike(found[name], tensor):
            raise ValueError(f"{name} of its {what} has another shape or type")


def _is_alike(found: object, expected: Tensor) -> bool:
    """Whether something is a tensor that can be computed with as with another."""
    return isinstance(found, Tensor) and all(
        getattr(found, name) == getattr(expected, name)
        for name in ("shape", "dtype", "layout", "device")
    )


def _without(group: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in names}


def _energies(saved: Mapping[str, Any]) -> dict[str, EnergySample]:
    # Saved with tuples, which JSON has not.
    listed = {str(k): {**each, "quantiles": list(each["quantiles"])} for k, each in saved.items()}
    return energy_samples(Document(listed))
