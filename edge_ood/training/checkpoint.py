"""What changes during training, and the file from which a killed run goes on with the same bits."""

import io
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_ood.errors import ArtifactError, InputError
from edge_ood.files.document import newer_format
from edge_ood.files.output import atomic_output
from edge_ood.files.regular import read_regular
from edge_ood.training.energies import EnergySample
from edge_ood.training.run_directory import EpochReport
from edge_ood.training.session import Session

__all__ = ["State", "load_checkpoint", "new_state", "save_checkpoint"]

_FORMAT = 1


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
    """

    loss_sum: Tensor
    step: int = 0
    losses: int = 0
    seconds: float = 0.0
    epochs: list[EpochReport] = field(default_factory=list)
    energies: dict[str, EnergySample] = field(default_factory=dict)


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
        session.classifier.load_state_dict(content["classifier"])
        session.optimizer.load_state_dict(content["optimizer"])
        return State(
            loss_sum=content["loss_sum"],
            step=content["step"],
            losses=content["losses"],
            seconds=content["seconds"],
            epochs=[EpochReport(**epoch) for epoch in content["epochs"]],
            energies=_energies(content.get("energies", {})),  # earlier versions saved none
        )
    except (
        OSError,
        RuntimeError,
        pickle.UnpicklingError,
        EOFError,
        LookupError,
        TypeError,
        InputError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise ArtifactError(
            f"'{path}' is damaged: {reason}", hint="start again with --force"
        ) from error


def _energies(saved: Mapping[str, Any]) -> dict[str, EnergySample]:
    return {split: EnergySample(**sample) for split, sample in saved.items()}
