"""What 8-bit integers bring and what they change, artefact against artefact.

Run `python benchmarks/precision.py`, or with `--quick` for fewer repetitions and smaller images.
Times are medians of interleaved runs (A B A B ...) in one process, from uint8 frames of the
network's own size to scores and decisions of all closed-form heads; the networks have random
weights, which does not matter for time. MobileNetV3 is there because it gets slower. On a machine
that others use, too, `--threads 1 --clock cpu` counts processor seconds.

What quantising changes can only be seen on trained networks, so that part needs run directories
of `edge-ood train`, a folder of test images of their classes, and folders of OOD images:

    python benchmarks/precision.py --run wrn=runs/wrn --id data/test --ood data/other

Each run is exported in fp32 and in int8, and both files score the same images. The tables have
signs, as a change may be for the better, too; the goals take the largest in either direction.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from heads import CLOSED_FORM, Bench, Network, artefact, network
from machine import machine
from promises import CLOCKS, Promise, at_least, at_most
from threadpoolctl import threadpool_limits

from edge_ood.artifact.outputs import Scores
from edge_ood.attachment.request import Options
from edge_ood.graph.precision import INT8_TARGETS, quantised
from edge_ood.images.folders import find_images
from edge_ood.metrics.detection import pair_metrics
from edge_ood.parity.comparison import rank_correlation
from edge_ood.runtime.scorer import Scorer
from edge_ood.torch_export.export import export_run

TIMED = (("wrn-40-2", 32), ("resnet18", 224), ("mobilenet_v3_small", 224))
SLOWER = "mobilenet_v3_small"
QUICK_PX = 96
BATCHES = (1, 16)
RANGE_IMAGES = 16
PRECISIONS = ("fp32", "int8")

FASTER_GOAL, AGREEMENT_GOAL, FPR95_GOAL_POINTS = 2.0, 0.99, 1.0


@dataclass(frozen=True)
class Trained:
    """What the part about trained networks needs.

    Attributes:
        runs: Run directories by name.
        id_images: Test images of their classes.
        ood_images: OOD images, by the name of their folder.
        target: Processor that int8 is laid out for.
    """

    runs: Mapping[str, Path]
    id_images: Sequence[Path]
    ood_images: Mapping[str, Sequence[Path]]
    target: str


def in_int8(made: Network, target: str) -> Network:
    """The same network, with ranges of random frames."""
    images = made.preprocess.normalise(made.frames(RANGE_IMAGES), np.float32)
    return replace(made, traced=quantised(made.traced, images, INT8_TARGETS[target]))


def speed_rows(bench: Bench, target: str, largest_px: int) -> Iterator[Promise]:
    """Artefacts in int8 against those in fp32."""
    print(f"artefacts with {CLOSED_FORM}; {bench.threads} threads; int8 for {target}")
    print(f"{'network':20} {'px':>4} {'batch':>5} {'fp32':>11} {'int8':>11} {'faster':>7}"
          f" {'fp32':>9} {'int8':>9}")  # fmt: skip
    for name, size_px in TIMED:
        made = network(name, min(size_px, largest_px))
        models = [artefact(n, CLOSED_FORM) for n in (made, in_int8(made, target))]
        megabytes = [model.ByteSize() / 1e6 for model in models]
        for batch in BATCHES:
            frames = made.frames(batch)
            tasks = {p: bench.runner(m, frames) for p, m in zip(PRECISIONS, models, strict=True)}
            float32, int8 = bench.medians(tasks).values()
            print(f"{name:20} {made.preprocess.size_px:4} {batch:5} {1e3 * float32:8.3f} ms "
                  f"{1e3 * int8:8.3f} ms {float32 / int8:6.2f}x {megabytes[0]:6.2f} MB "
                  f"{megabytes[1]:6.2f} MB")  # fmt: skip
            if name != SLOWER:
                label = f"int8 against fp32, {name}, batch {batch}"
                yield at_least(label, float32 / int8, FASTER_GOAL)
    print(f"{SLOWER} has no goal: it is why 'edge-ood export' warns")


def quality_rows(trained: Trained) -> Iterator[Promise]:
    """Labels, ranks and FPR95 of trained networks in both precisions."""
    for name, run in trained.runs.items():
        by_precision = scored(run, trained)
        yield from compared(name, by_precision, list(trained.ood_images))


def scored(run: Path, trained: Trained) -> list[dict[str, Scores]]:
    """Scores of every folder, in fp32 and in int8; ID images under an empty name."""
    folders = {"": trained.id_images, **trained.ood_images}
    found = []
    for precision in PRECISIONS:
        target = trained.target if precision == "int8" else None
        options = Options(provider="cpu", precision=precision, int8_target=target)
        with tempfile.TemporaryDirectory() as folder:
            file = export_run(run, Path(folder, "x.onnx"), options).path
            scorer = Scorer(file, provider="cpu")
            found.append({key: scorer.score_files(paths) for key, paths in folders.items()})
    return found


def compared(
    name: str, by_precision: Sequence[Mapping[str, Scores]], ood_sets: Sequence[str]
) -> Iterator[Promise]:
    """The tables of one run."""
    float32, int8 = (scores[""] for scores in by_precision)
    agreement = float((float32.label_index == int8.label_index).mean())
    print(f"\n{name}: {len(float32)} ID images, {agreement:.2%} of the labels agree")
    yield Promise(
        f"label agreement in int8, {name}",
        f"{agreement:.2%}",
        f">={AGREEMENT_GOAL:.0%}",
        agreement >= AGREEMENT_GOAL,
    )
    print(f"{'head':12} {'OOD set':20} {'FPR95 fp32':>10} {'int8':>8} {'points':>7}"
          f" {'ranks':>7} {'flips':>7}")  # fmt: skip
    for head in float32.scores:
        ranks = rank_correlation(float32.scores[head], int8.scores[head])
        flips = float((float32.decisions[head] != int8.decisions[head]).mean())
        worst = 0.0
        for folder in ood_sets:
            first, second = (
                100 * pair_metrics(s[""].scores[head], s[folder].scores[head]).fpr95_id_positive
                for s in by_precision
            )
            worst = max(worst, abs(second - first))
            print(f"{head:12} {folder:20} {first:9.2f}% {second:7.2f}% {second - first:+7.2f}"
                  f" {ranks:7.4f} {flips:7.2%}")  # fmt: skip
        label = f"FPR95 of {head} in int8, {name}, worst change"
        yield at_most(label, worst, FPR95_GOAL_POINTS, " points")


def spread(folder: Path, count: int) -> list[Path]:
    """At most `count` images of a folder, at even distances."""
    found = find_images(folder)
    return found[:: max(1, len(found) // count)][:count]


def trained_of(chosen: argparse.Namespace, fail: Callable[[str], Any]) -> Trained | None:
    """What the command line says about trained networks; None if nothing."""
    if not chosen.run:
        return None
    if not chosen.id or not chosen.ood:
        fail("--run needs --id DIR and one or more --ood DIR")
    pairs = [text.partition("=") for text in chosen.run]
    return Trained(
        {name: Path(folder or name) for name, _, folder in pairs},
        spread(chosen.id, chosen.images),
        {folder.name: spread(folder, chosen.images) for folder in chosen.ood},
        chosen.int8_target,
    )


def main() -> None:
    """Print the tables, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="in under two minutes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--int8-target", choices=INT8_TARGETS, default=next(iter(INT8_TARGETS)))
    parser.add_argument("--run", action="append", metavar="NAME=DIR", help="a trained network")
    parser.add_argument("--id", type=Path, metavar="DIR", help="test images of its classes")
    parser.add_argument("--ood", type=Path, action="append", metavar="DIR", help="OOD images")
    parser.add_argument("--images", type=int, default=2000, help="of each folder, at most")
    chosen = parser.parse_args()
    trained = trained_of(chosen, parser.error)
    bench = Bench(chosen.threads, 5 if chosen.quick else 15, CLOCKS[chosen.clock])
    print(machine(f"medians of {bench.repetitions} rounds, {chosen.clock} clock"))
    torch.set_num_threads(chosen.threads)
    largest_px = QUICK_PX if chosen.quick else max(size_px for _, size_px in TIMED)
    with threadpool_limits(chosen.threads):
        goals = list(speed_rows(bench, chosen.int8_target, largest_px))
        if trained is not None:
            goals += quality_rows(trained)
    print()
    for goal in goals:
        print(goal)


if __name__ == "__main__":
    main()
