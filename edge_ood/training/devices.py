"""Where training runs: Fabric on the wanted device, and the processes that share the work."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

from edge_ood.errors import InputError
from edge_ood.objectives import needs_of
from edge_ood.training.compilation import check_compiler
from edge_ood.training.settings import Settings

__all__ = ["DEVICES", "end_processes", "settle_precision", "start_fabric"]

DEVICES = ("auto", "cpu", "cuda")

_FABRIC_PRECISION: dict[str, Literal["32-true", "bf16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
}
_CPU_FLAGS = ("amx_bf16", "avx512_bf16")
"""What Linux calls the instructions with which a processor multiplies bfloat16 matrices."""

_CPU_INFO = Path("/proc/cpuinfo")


def settle_precision(settings: Settings, device: str) -> tuple[Settings, tuple[str, ...]]:
    """Settings with `fp32` or `bf16` in place of `auto`, and a note that says why, if it was.

    On processors with one of these instructions `bf16` trains 3 to 4 times as fast; without, it is
    imitated, and slower than `fp32`.

    Args:
        settings: Of a run.
        device: `auto`, `cpu` or `cuda`.
    """
    if settings.precision != "auto":
        return settings, ()
    if device != "cpu" and torch.cuda.is_available():
        has_it = torch.cuda.is_bf16_supported(including_emulation=False)
        reason = f"{torch.cuda.get_device_name()} has {'' if has_it else 'no '}bfloat16"
    else:
        found = [flag for flag in _CPU_FLAGS if flag in _cpu_flags()]
        has_it = bool(found)
        reason = f"the processor has {found[0] if found else 'neither ' + ' nor '.join(_CPU_FLAGS)}"
    chosen = "bf16" if has_it else "fp32"
    return replace(settings, precision=chosen), (f"precision auto is {chosen} here: {reason}",)


def start_fabric(device: str, settings: Settings) -> Fabric:
    """Fabric on the wanted device; under torchrun, one of its processes.

    Raises:
        InputError: If the device is unknown or missing, the processes cannot share a batch evenly,
            or the network is to be compiled and nothing can be.
    """
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}", hint=f"one of {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device was found", hint="--device cpu, or --device auto")
    chosen = "cuda" if device == "auto" and torch.cuda.is_available() else device
    local, world = (int(os.environ.get(f"{name}WORLD_SIZE", "1")) for name in ("LOCAL_", ""))
    _check_shares(settings, world)
    fabric = Fabric(
        accelerator="cpu" if chosen == "auto" else chosen,
        strategy=_strategy(settings) if world > 1 else "auto",
        devices=local,
        num_nodes=world // local,
        precision=_FABRIC_PRECISION[settings.precision],
    )
    fabric.launch()
    if settings.compile:
        check_compiler(fabric.device)
    return fabric


def _strategy(settings: Settings) -> str:
    """How processes exchange gradients; those of a frozen trunk are missing."""
    return "ddp_find_unused_parameters_true" if settings.frozen_epochs else "ddp"


def end_processes() -> None:
    """Part from the other processes of a run, if there are any, before this one ends.

    A thread of the group that is still running as Python exits can abort a process that has
    finished all its work.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _check_shares(settings: Settings, processes: int) -> None:
    """Refuse batches that the processes cannot share evenly."""
    parts = processes * (len(needs_of(settings.objective).unlabelled) or 1)
    for name, factor in (("batch_size", processes), ("outlier_batch_size", parts)):
        size = getattr(settings, name)
        if size % factor:
            raise InputError(
                f"{name} {size} cannot be shared evenly by {processes} processes and"
                f" {factor // processes} image sets",
                hint=f"--{name.replace('_', '-')} {size - size % factor or factor}",
            )


def _cpu_flags() -> set[str]:
    """Of the first processor, as Linux has them; none where there is no such file."""
    try:
        lines = _CPU_INFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    return set(next((line.split() for line in lines if line.startswith("flags")), ()))
