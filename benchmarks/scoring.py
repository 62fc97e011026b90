"""Scoring folders of files: against the limit of the hardware, against PyTorch, cold, in memory.

Run `python benchmarks/scoring.py`, or with `--quick`, which leaves out PyTorch and the memory.
Figures are medians over rounds; in a round everything runs once, one after another.

`limit` is `cores / (decode + inference)`, both in core-seconds per image and each measured alone:
decoding on one thread; inference of the artefact, all closed-form heads and uint8 frames included,
on one thread or on all, 8 or 32 images at a time, whichever costs least. `scored` is `edge-ood
score` without its start: files in, rows written. `PyTorch` is `benchmarks/scoring_peer.py`.
On a machine that others use, too, `--clock cpu` counts processor seconds, which hardly see the
others; it cannot see idle cores either, and leaves PyTorch out.
"""

import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnx
from heads import CLOSED_FORM, Network, artefact, network
from machine import machine
from photograph_files import FOLDERS, Photographs
from promises import CLOCKS, Promise, at_least, at_most

from edge_ood.artifact.calibration_record import Calibration, Probe
from edge_ood.artifact.metadata import HeadRecord, Metadata, store_metadata
from edge_ood.graph.precision import INT8_TARGETS, quantised
from edge_ood.images.decoding.image_file import read_image_file
from edge_ood.images.preprocess import Preprocess
from edge_ood.runtime.scorer import Scorer
from edge_ood.tables.formats import write_to
from edge_ood.threads import available_cores

JPEG, LARGE_JPEG, PNG = FOLDERS
CELLS = (
    (JPEG, "resnet18", 224),
    (JPEG, "mobilenet_v3_small", 224),
    (LARGE_JPEG, "resnet18", 224),
    (LARGE_JPEG, "mobilenet_v3_small", 224),
    (PNG, "wrn-40-2", 32),
)
INT8 = "resnet18"
SMALLEST = ("wrn-10-1", 32)  # for memory, where 100,000 files have to be scored
BATCHES = (8, 32)
FILES = (1000, 100_000)
ROUNDS, COLD_RUNS = 5, 9
PAUSE_S = 0.1  # until the threads of the task before no longer spin on the cores
PEER_IMAGES = 128  # at least: its workers have to get going
ALONE_SHARE = 0.25  # of the images of a round: how many are decoded and inferred alone
LIMIT_GOAL, FLOAT_GOAL, INT8_GOAL, COLD_GOAL, MEMORY_GOAL = 0.95, 1.0, 4.0, 1.25, 1.10

COLD_BASE = """
import sys
import numpy, onnxruntime, PIL.Image
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {"images": numpy.zeros((1, 224, 224, 3), numpy.uint8)})
"""
COMMAND = "from edge_ood.cli import main; main()"
PEAK_COMMAND = """
from edge_ood.cli import main
try:
    main()
finally:
    print(open("/proc/self/status").read())
"""


@dataclass(frozen=True)
class Bench:
    """How long and by which clock; where files are kept."""

    rounds: int
    seconds: float
    clock: str
    folder: Path

    @property
    def cores(self) -> int:
        """Cores that the measured time is shared by; processor time is not."""
        return available_cores() if self.clock == "wall" else 1

    def timed(self, task: Callable[[], object]) -> float:
        """Seconds of one run."""
        time.sleep(PAUSE_S)
        started = CLOCKS[self.clock]()
        task()
        return CLOCKS[self.clock]() - started


def write_artefact(made: Network, path: Path) -> Path:
    """All closed-form heads, with the metadata that scoring reads."""
    model = artefact(made, CLOSED_FORM)
    heads = CLOSED_FORM.split(",")
    outputs = {output.name: output for output in model.graph.output}
    classes = outputs["logits"].type.tensor_type.shape.dim[1].dim_value
    metadata = Metadata(
        classes=tuple(f"class {index}" for index in range(classes)),
        preprocess=made.preprocess,
        heads=tuple(HeadRecord(head, {}) for head in heads),
        primary=heads[0],
        calibration=Calibration(0.05, 5000, dict.fromkeys(heads, 0.0), ""),
        manifests={},
        probe=Probe(seed=0),
        version="",
    )
    store_metadata(model, metadata)
    onnx.save(model, path)
    return path


def as_int8(made: Network, paths: Sequence[Path]) -> Network:
    """The same network on 8-bit integers, with ranges from these photographs."""
    images = np.stack([decoded(path, made.preprocess) for path in paths])
    pixels = made.preprocess.normalise(images, np.float32)
    target = next(iter(INT8_TARGETS.values()))
    return replace(made, name=f"{made.name} int8", traced=quantised(made.traced, pixels, target))


def decoded(path: Path, preprocess: Preprocess) -> np.ndarray:
    """One file at network size."""
    return preprocess.decode(read_image_file(path))


class Cell:
    """One artefact over one kind of file."""

    def __init__(self, bench: Bench, photographs: Photographs, artefact_path: Path) -> None:
        self.bench = bench
        self.files = photographs.below(bench.folder)
        self.all_threads = Scorer(artefact_path, provider="cpu", threads=available_cores())
        self.scorer = Scorer(artefact_path, provider="cpu", threads=1)
        self.preprocess = self.scorer.metadata.preprocess
        size = self.preprocess.size_px
        shape = (max(BATCHES), size, size, 3)
        self.frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def image_count(self) -> int:
        """As many as take about the time of a round, in whole batches for every core."""
        trial = list(islice(cycle(self.files), 4 * BATCHES[0]))
        self.score(trial)
        started = time.perf_counter()
        self.score(trial)
        rate = len(trial) / (time.perf_counter() - started)
        whole = BATCHES[0] * available_cores()
        return max(1, round(rate * self.bench.seconds / whole)) * whole

    def decode(self, count: int) -> float:
        """Core-seconds per image, on one thread."""
        paths = list(islice(cycle(self.files), count))
        return self.bench.timed(lambda: [decoded(p, self.preprocess) for p in paths]) / count

    def infer(self, scorer: Scorer, batch: int, count: int) -> float:
        """Core-seconds per image."""
        repeats = max(1, count // batch)

        def run() -> None:
            for _ in range(repeats):
                scorer.score_arrays(self.frames[:batch], batch_size=batch)

        threads = scorer.threads or 1
        used = threads if self.bench.clock == "wall" else 1
        return used * self.bench.timed(run) / (repeats * batch)

    def score(self, paths: Sequence[Path]) -> None:
        """Files to a table."""
        with (self.bench.folder / "scores.csv").open("w", encoding="utf-8", newline="") as stream:
            write = write_to(stream, "csv", self.scorer.heads)
            for row in self.scorer.stream(paths):
                write(row)


def measure(bench: Bench, cell: Cell, peer: Callable[[], float], count: int) -> dict[str, float]:
    """Medians in seconds per image."""
    alone = max(BATCHES[0], round(ALONE_SHARE * count))
    paths = list(islice(cycle(cell.files), count))
    ways = [(s, b) for s in (cell.scorer, cell.all_threads) for b in BATCHES]
    for way in ways:
        cell.infer(*way, alone)
    cheapest = min(ways, key=lambda way: cell.infer(*way, alone))
    times: dict[str, list[float]] = {"decode": [], "infer": [], "scored": [], "peer": []}
    for _ in range(bench.rounds):
        times["decode"].append(cell.decode(alone))
        times["infer"].append(cell.infer(*cheapest, alone))
        times["scored"].append(bench.timed(lambda: cell.score(paths)) / count)
        times["peer"].append(peer())
    return {name: statistics.median(values) for name, values in times.items()}


@contextmanager
def running_peer(
    network_name: str, size_px: int, folder: Path, count: int
) -> Iterator[Callable[[], float]]:
    """A tuned PyTorch in a process of its own that gives seconds per image when it is asked."""
    script = Path(__file__).with_name("scoring_peer.py")
    arguments = [network_name, str(size_px), str(folder), "--images", str(count), "--serve"]
    with subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        settings = process.stdout.readline().strip()
        print(f"  PyTorch is fastest with {settings}", file=sys.stderr)

        def seconds() -> float:
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline()) / count

        yield seconds
        process.stdin.close()


def no_peer() -> AbstractContextManager[Callable[[], float]]:
    """What is not measured."""
    return nullcontext(lambda: float("nan"))


def scoring_rows(bench: Bench, *, with_peer: bool) -> Iterator[Promise]:
    """One row per kind of file and network."""
    print(f"{'files':15} {'network':20} {'images':>6} {'decode':>8} {'infer':>8} {'limit':>7}"
          f" {'scored':>7} {'of limit':>8} {'PyTorch':>7} {'faster':>6}")  # fmt: skip
    for photographs, name, size_px in CELLS:
        made = network(name, size_px)
        variants = [made]
        if name == INT8:
            variants.append(as_int8(made, photographs.below(bench.folder)[: BATCHES[1]]))
        cells = [
            Cell(bench, photographs, write_artefact(each, bench.folder / f"{each.name}.onnx"))
            for each in variants
        ]
        counts = [cell.image_count() for cell in cells]
        folder = cells[0].files[0].parent
        fewest = max(counts[0], PEER_IMAGES)
        peer = running_peer(name, size_px, folder, fewest) if with_peer else no_peer()
        with peer as seconds:
            for variant, cell, count in zip(variants, cells, counts, strict=True):
                found = measure(bench, cell, seconds, count)
                yield from _row(bench, f"{photographs.name:15} {variant.name:20} {count:6}", found)


def _row(bench: Bench, label: str, found: dict[str, float]) -> Iterator[Promise]:
    """Print a row of the table."""
    limit = bench.cores / (found["decode"] + found["infer"])
    of_limit, faster = 1 / found["scored"] / limit, found["peer"] / found["scored"]
    print(f"{label} {1e3 * found['decode']:5.2f} ms {1e3 * found['infer']:5.2f} ms {limit:5.0f}/s "
          f"{1 / found['scored']:5.0f}/s {of_limit:8.3f} {1 / found['peer']:5.0f}/s {faster:6.2f}",
          flush=True)  # fmt: skip
    files, *network_name, _ = label.split()
    name = f"{' '.join(network_name)} on {files}"
    yield at_least(f"{name}, of the limit", of_limit, LIMIT_GOAL)
    if not math.isnan(faster):
        goal = INT8_GOAL if network_name[-1] == "int8" else FLOAT_GOAL
        yield at_least(f"{name}, against PyTorch", faster, goal)


def cold_rows(bench: Bench) -> Iterator[Promise]:
    """One image from the start of the process, against the bare libraries."""
    path = write_artefact(network("resnet18", 224), bench.folder / "x.onnx")
    image = JPEG.below(bench.folder)[0]
    commands = {
        "bare": (sys.executable, "-Ic", COLD_BASE, str(path)),
        "edge-ood": (sys.executable, "-Ic", COMMAND, "score", str(path), str(image)),
    }
    environment = {**os.environ, "XDG_CACHE_HOME": str(bench.folder / "cache")}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(COLD_RUNS + 1):
        for name, command in commands.items():
            times[name].append(_child_seconds(bench, command, environment))
    bare, ours = (statistics.median(values[1:]) for values in times.values())
    print(f"\none image, cold: {1e3 * ours:.0f} ms; onnxruntime and Pillow imported, session opened"
          f" and run once: {1e3 * bare:.0f} ms")  # fmt: skip
    yield at_most("one image, cold, against the bare libraries", ours / bare, COLD_GOAL)


def _child_seconds(bench: Bench, command: Sequence[str], environment: dict[str, str]) -> float:
    """Of a process, by the clock."""

    def now() -> float:
        if bench.clock == "wall":
            return time.perf_counter()
        used = os.times()
        return used.children_user + used.children_system

    started = now()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return now() - started


def memory_rows(bench: Bench) -> Iterator[Promise]:
    """Peak resident memory over a thousand files and over a hundred times as many."""
    path = write_artefact(network(*SMALLEST), bench.folder / "x.onnx")
    originals = PNG.below(bench.folder)
    peaks = []
    for count in FILES:
        folder = bench.folder / str(count)
        folder.mkdir(exist_ok=True)
        for index, original in zip(range(count), cycle(originals), strict=False):
            link = folder / f"photograph {index:06}.png"
            if not link.exists():
                os.link(original, link)
        output = str(bench.folder / "memory.csv")
        command = [sys.executable, "-Ic", PEAK_COMMAND, "score", str(path), str(folder)]
        done = subprocess.run(
            [*command, "-o", output, "--force"], check=True, capture_output=True, text=True
        )
        peak = re.search(r"VmHWM:\s+(\d+) kB", done.stdout)
        assert peak
        peaks.append(int(peak[1]) / 1024)
        print(f"\npeak memory over {count} files: {peaks[-1]:.1f} MiB", end="")
    print()
    yield at_most("memory over 100,000 files against 1,000", peaks[1] / peaks[0], MEMORY_GOAL)


def main() -> None:
    """Print the tables, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="in under two minutes")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    cache = Path(tempfile.gettempdir()) / "edge-ood-benchmarks"
    parser.add_argument("--cache", type=Path, default=cache, help="folder for photographs")
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    seconds = 1.0 if chosen.quick else 3.0
    bench = Bench(ROUNDS, seconds, chosen.clock, chosen.cache)
    print(machine(f"medians of {bench.rounds} rounds, {bench.clock} clock"))
    goals = [
        *scoring_rows(bench, with_peer=not chosen.quick and chosen.clock == "wall"),
        *cold_rows(bench),
        *([] if chosen.quick else memory_rows(bench)),
    ]
    print()
    for goal in goals:
        print(goal)


if __name__ == "__main__":
    main()
