"""What a device is, as far as it decides the numbers: processor, onnxruntime and accelerator.

Two devices with equal descriptions run the same kernels and give the same scores. Float32 scores
hardly differ anywhere; those of int8 graphs differ between processors, see `Device.saturates`.
"""

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

__all__ = ["Device", "library_marks", "this_device"]

_CPUINFO = Path("/proc/cpuinfo")
_BOARD = Path("/proc/device-tree/model")
_NVIDIA = Path("/proc/driver/nvidia")
_MAPS = Path("/proc/self/maps")

_INSTRUCTIONS = (
    *("avx", "avx2", "fma", "f16c", "avx512f", "avx512bw"),
    *("avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2"),
)
"""Instruction sets that onnxruntime chooses its kernels by, as Linux names them."""

_DOT_PRODUCTS = frozenset(["avx512_vnni", "avx_vnni"])
_X86 = frozenset(["x86_64", "amd64", "i686"])
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
_ON_GPU = frozenset(["cuda", "tensorrt"])
_LIBRARY = re.compile(r"/lib(cudnn|cublas|cudart|cufft|nvinfer|openvino)[^/]*$")


@dataclass(frozen=True)
class Device:
    """A device with the software that runs the graph; empty fields are unknown.

    Attributes:
        processor: Its name.
        machine: Its architecture, such as `x86_64` or `aarch64`.
        instructions: Those of its instruction sets that onnxruntime chooses kernels by.
        runtime: Version of onnxruntime.
        provider: Execution provider, such as `cpu`.
        accelerator: Name of the GPU and version of its driver, for providers of NVIDIA's.
    """

    processor: str = ""
    machine: str = ""
    instructions: tuple[str, ...] = ()
    runtime: str = ""
    provider: str = ""
    accelerator: str = ""

    @property
    def saturates(self) -> bool:
        """Whether int8 products may overflow: x86 without VNNI adds pairs of them in 16 bits.

        255 * 127 twice is more than 32767. Weights of 7 bits cannot get there.
        """
        is_known_x86 = self.machine.lower() in _X86 and bool(self.instructions)
        on_cpu = self.provider == "cpu"
        return on_cpu and is_known_x86 and _DOT_PRODUCTS.isdisjoint(self.instructions)

    def __str__(self) -> str:
        """On one line, such as `AMD EPYC (x86_64), onnxruntime 1.22.0 on cpu`."""
        parts = (
            " ".join(filter(None, [self.processor, self.machine and f"({self.machine})"])),
            self.accelerator,
            self.runtime and f"onnxruntime {self.runtime}",
        )
        named = ", ".join(filter(None, parts))
        return " on ".join(filter(None, [named, self.provider])) or "an unknown device"


def this_device(provider: str) -> Device:
    """The device that this process runs on, and the onnxruntime that it has loaded.

    Args:
        provider: Short name of the execution provider in use.
    """
    import onnxruntime  # noqa: PLC0415  # loaded already; not a dependency of importing this file

    fields = _processor_fields()
    supported = f"{fields.get('flags', '')} {fields.get('Features', '')}".split()
    return Device(
        processor=_name(fields),
        machine=platform.machine(),
        instructions=tuple(name for name in _INSTRUCTIONS if name in supported),
        runtime=onnxruntime.__version__,
        provider=provider,
        accelerator=_gpu() if provider in _ON_GPU else "",
    )


def library_marks(provider: str) -> list[str]:
    """What tells apart two versions of the libraries that do a provider's arithmetic.

    The CPU's kernels are part of onnxruntime; others come from libraries of their own, which are
    updated by themselves. They are told apart by path, size and time of change.
    """
    if provider == "cpu":
        return []
    paths = {line.split(maxsplit=5)[-1] for line in _lines(_MAPS) if _LIBRARY.search(line)}
    marks = []
    for path in sorted(paths):
        try:
            file = Path(path).stat()
        except OSError:
            continue
        marks.append(f"{path} {file.st_size} {file.st_mtime_ns}")
    return marks


def _processor_fields() -> Mapping[str, str]:
    """The first processor's block: reading all of them is slow on large machines."""
    try:
        with _CPUINFO.open(errors="replace") as lines:
            block = [line.partition(":") for line in takewhile(str.strip, lines)]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in block}


def _name(fields: Mapping[str, str]) -> str:
    """The processor's name; Arm processors have none, but their boards and cores do."""
    if "model name" in fields:
        return fields["model name"]
    board = "".join(_lines(_BOARD)[:1]).strip("\0")
    core = ":".join(fields[f] for f in ("CPU implementer", "CPU part") if f in fields)
    named = ", ".join(filter(None, [board, core and f"core {core}"]))
    return named or os.environ.get("PROCESSOR_IDENTIFIER", "")


def _gpu() -> str:
    """Names of the GPUs and the version of their driver; empty where the driver does not say."""
    lines = [line for path in _NVIDIA.glob("gpus/*/information") for line in _lines(path)]
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("Model:")}
    driver = [
        found for line in _lines(_NVIDIA / "version")[:1] for found in [_VERSION.search(line)]
    ]
    return ", ".join([*sorted(models), *(f"driver {found[0]}" for found in driver if found)])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
