"""What a run leaves on disk: nothing of an earlier one, a state to go on from, and its outcome."""

from pathlib import Path

import safetensors.torch
from lightning_fabric import Fabric

from edge_ood.files.output import atomic_output
from edge_ood.training.checkpoint import State, save_checkpoint
from edge_ood.training.energies import Energies, write_energies
from edge_ood.training.resume import clear_run
from edge_ood.training.run_directory import Run, write_metrics, write_run
from edge_ood.training.session import Session

__all__ = ["replace_or_keep_run", "save_state", "write_finished"]


def replace_or_keep_run(run: Run, fabric: Fabric, earlier: Run | None) -> None:
    """Delete what is in the output folder and write this run there, unless the earlier goes on."""
    fabric.barrier()  # every process has looked for an earlier run: one may write now
    if fabric.is_global_zero:
        clear_run(run.path, keep_run=earlier is not None)
        if earlier is None:
            write_run(run)


def save_state(output: Path, session: Session, state: State) -> None:
    """Write what a killed run goes on from, and the metrics so far."""
    if session.fabric.is_global_zero:
        save_checkpoint(output / "last.ckpt", session, state)
        write_metrics(output, state.epochs)


def write_finished(output: Path, session: Session, state: State, energies: Energies) -> None:
    """Write the weights; the checkpoint goes last, so that a kill in between loses nothing."""
    write_metrics(output, state.epochs)
    write_energies(output, energies)
    weights = {name: t.cpu().contiguous() for name, t in session.exported().state_dict().items()}
    with atomic_output(output / "model.safetensors") as temporary:
        temporary.write_bytes(safetensors.torch.save(weights))
    (output / "last.ckpt").unlink(missing_ok=True)
