"""What it takes to attach scores to somebody else's classifier: time and memory, by network.

Run `python benchmarks/attach.py`, or with `--quick`, which leaves out ODIN. Each row is one
`edge-ood attach` in a process of its own, the start of Python included, with the default heads or
those and ODIN, in an environment that has torch or in one that has not: importing it fails there.
ResNet-50 at 224 px and DenseNet-BC at 32 px are made here; their last layers are fitted to images
of six colours, which come in 96 for training and 60 for calibration. `--network NAME=FILE.onnx`
with `--id` and `--calibration` measures another, such as EfficientNet-Lite0.

Goals are wall seconds on two cores. `--clock cpu` counts processor seconds on all cores instead,
which hardly see what else a machine does, against twice as many.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import machine
from PIL import Image
from promises import CLOCKS, Promise, at_most

from edge_ood.models import build_classifier

COLOURS = ("blue", "cyan", "green", "magenta", "red", "yellow")
TINTS = np.array([[0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [1, 1, 0]])
TRAINING, CALIBRATION = 16, 10  # of each colour
MADE = (("resnet50", 224), ("densenet-bc-100-12", 32))
HEADS = "gen,mahalanobis,msp,nci"
GOALS_S = {("torch", False): 20, ("torch", True): 60, ("", False): 60, ("", True): 180}
CORES = 2  # that the goals are for
MEMORY_GOAL = 2048
FIT_BATCH = 16
COMMAND = """
import sys
if "{torch}" == "":
    sys.modules["torch"] = None
from edge_ood.cli import main
try:
    main()
finally:
    print(open("/proc/self/status").read())
"""


@dataclass(frozen=True)
class Case:
    """A network as a file, and images that it knows."""

    name: str
    file: Path
    training: Path
    calibration: Path


def coloured(folder: Path, size_px: int) -> tuple[Path, Path]:
    """Class folders of noise with a tint: training, calibration."""
    generator = np.random.default_rng(0)
    for part, count in (("training", TRAINING), ("calibration", CALIBRATION)):
        for name, tint in zip(COLOURS, TINTS, strict=True):
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = generator.integers(0, 110, (size_px, size_px, 3))
                pixels += generator.integers(40, 140) * tint
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number:03}.png")
    return folder / "training", folder / "calibration"


def made(name: str, size_px: int, folder: Path) -> Case:
    """A network with random weights whose last layer is fitted to the colours."""
    training, calibration = coloured(folder / name, size_px)
    torch.manual_seed(0)
    network = build_classifier(name, len(COLOURS))
    paths = sorted(training.rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths]) / np.float32(255)
    images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    labels = torch.tensor([COLOURS.index(path.parent.name) for path in paths])
    linear = [each for each in network.modules() if isinstance(each, torch.nn.Linear)][-1]
    seen: list[torch.Tensor] = []
    linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batches = images[torch.randperm(len(images))].split(FIT_BATCH)
    with torch.no_grad():
        for batch in batches:  # statistics of batches
            network.train()(batch)
        seen.clear()
        for batch in images.split(FIT_BATCH):
            network.eval()(batch)
        features = torch.cat(seen).double()
        mean = features.mean(0)
        centred = features - mean
        kernel = centred @ centred.T
        kernel += 1e-3 * kernel.diagonal().mean() * torch.eye(len(kernel))
        wanted = 8 * torch.nn.functional.one_hot(labels).double()
        linear.weight.copy_((centred.T @ torch.linalg.solve(kernel, wanted)).T)
        linear.bias.copy_(-(linear.weight.double() @ mean))
    file = folder / f"{name}.onnx"
    torch.onnx.export(
        _Logits(network).eval(), (images[:2],), file, dynamo=True, verbose=False,
        dynamic_shapes=({0: torch.export.Dim("N")},), external_data=False,
    )  # fmt: skip
    return Case(name, file, training, calibration)


class _Logits(torch.nn.Module):
    """The logits alone, of networks that give more."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, K)."""
        found = self.network(images)
        return getattr(found, "logits", found)


def attached(case: Case, pixels: str, *, library: str, odin: bool, clock: str) -> tuple[float, int]:
    """Seconds and peak MiB of one attachment."""
    scores = f"{HEADS},odin" if odin else HEADS
    arguments = [
        *("attach", case.file, "--id", case.training, "--calibration", case.calibration),
        *("--pixels", pixels, "--scores", scores, "-o", case.file.with_suffix(".out.onnx")),
        "--force",
    ]
    command = [sys.executable, "-Ic", COMMAND.format(torch=library), *map(str, arguments)]
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode:
        sys.exit(f"{case.name}: {done.stderr}")
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stdout)
    assert peak
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return (wall if clock == "wall" else used), int(peak[1]) // 1024


def rows(case: Case, pixels: str, clock: str, *, quick: bool) -> Iterator[Promise]:
    """One row per environment and set of heads."""
    for (library, odin), goal in GOALS_S.items():
        if odin and quick:
            continue
        seconds, peak = attached(case, pixels, library=library, odin=odin, clock=clock)
        where, heads = library or "no torch", "default heads" + ", odin" * odin
        print(f"{case.name:20} {where:8} {heads:20} {seconds:6.1f} s {peak:6} MiB", flush=True)
        limit = goal if clock == "wall" else goal * CORES
        name = f"attach {case.name}, {heads}, {where}"
        yield at_most(name, seconds, limit, " s")
        yield at_most(f"{name}, memory", peak, MEMORY_GOAL, " MiB")


def main() -> None:
    """Print the table, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="without ODIN")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--network", metavar="NAME=FILE", help="another network, as ONNX")
    parser.add_argument("--id", type=Path, help="its training images, in class folders")
    parser.add_argument("--calibration", type=Path, help="its calibration images, likewise")
    parser.add_argument("--pixels", default="imagenet", help="what it takes pixels as")
    chosen = parser.parse_args()
    print(machine(f"one run each, {chosen.clock} clock"))
    with tempfile.TemporaryDirectory() as folder:
        if chosen.network:
            name, _, file = chosen.network.partition("=")
            here = Path(folder, "network.onnx")
            here.write_bytes(Path(file).read_bytes())
            cases = [(Case(name, here, chosen.id, chosen.calibration), chosen.pixels)]
        else:
            cases = [(made(name, size, Path(folder)), "unit") for name, size in MADE]
        goals = [
            goal
            for case, pixels in cases
            for goal in rows(case, pixels, chosen.clock, quick=chosen.quick)
        ]
    print()
    for goal in goals:
        print(goal)


if __name__ == "__main__":
    main()
