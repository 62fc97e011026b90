"""`torch.compile` for training: tried on something small first, then applied to the network."""

import torch
from torch import Tensor, nn

from edge_ood.errors import InputError

__all__ = ["check_compiler", "compiled"]


def check_compiler(device: torch.device) -> None:
    """Compile and run one line, before any long work.

    Raises:
        InputError: If that fails: most often there is no C++ compiler.
    """
    try:
        torch.compile(_line)(torch.ones(2, device=device))
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"torch.compile does not work here: {reason}",
            hint="install a C++ compiler such as g++, or drop --compile",
        ) from error


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """A network that is compiled when it is first called; it shares all weights with the given one.

    Each shape of a batch is compiled for itself: an objective has few, and they never change. On
    CUDA all kernels of a pass become one CUDA graph, because launching them one by one takes longer
    than running them. On the CPU there is little to gain: convolutions take nearly all the time.
    """
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    module = torch.compile(network, mode=mode, dynamic=False)
    assert isinstance(module, nn.Module)
    return module


def _line(numbers: Tensor) -> Tensor:
    return numbers.sin() + 1
