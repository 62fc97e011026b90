"""The first line of a benchmark's output: without it, its numbers could be anybody's."""

import platform
from importlib.metadata import version
from pathlib import Path

from edge_ood.threads import available_cores

CPU_INFO = Path("/proc/cpuinfo")
PACKAGES = ("torch", "onnxruntime", "edge-ood")


def machine(measured: str) -> str:
    """Processor, cores and versions in one line, and what the numbers below it are made of."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cores = available_cores()
    return (
        f"{processor()}, {cores} core{'s' * (cores != 1)}; Python {platform.python_version()}, "
        f"{versions}; {measured}"
    )


def processor() -> str:
    """The processor's name, as the kernel has it; its architecture where that has none."""
    lines = CPU_INFO.read_text("utf-8").splitlines() if CPU_INFO.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
