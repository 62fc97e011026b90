"""What a trained network is worth on few photographs, and what fine-tuning it costs.

Run `python benchmarks/photographs.py DATA --weights FILE`. DATA has the folders `trashnet_s128`
and, as far OOD sets, `dtd10_32x32` and `scene15_32x32`; `dtd10_s160` are the same textures as sharp
as the photographs, a harder set without a goal. TrashNet's five materials are cut 70/30 as in the
tutorial, without copies; `trash` is the near OOD set. The photographs have a short side of 128 px
and are enlarged to 160, as the network was made for 224. For each seed a network starts from FILE,
EfficientNet-Lite0 unless `--model` and its `--mean` and `--std` say otherwise, by `--recipe
fine-tune`, is exported with everything at its default, and evaluated: the decision as shipped.

`--from-scratch EPOCHS` takes random weights instead, by `--recipe photographs-from-scratch` in
batches as large as those of `fine-tune`. The line below the mean is its 95 % interval over seeds.

`--peer` trains the same network from the same weights, for as many epochs and in the same batches,
by the loop of torchvision's references (`references/classification`): a DataLoader of its
transforms, the same optimiser, a cosine. `--quick` is one seed of one epoch.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import machine
from photographs_peer import trained_by_references
from promises import Promise
from scipy import stats

import edge_ood
from edge_ood.errors import ChanceLevelError
from edge_ood.recipes import RECIPES

sys.path.append(str(Path(__file__).parent / "published"))  # the networks, for the model's name

NEAR, TEST_SHARE = "trash", 0.3
FAR, SHARP = ("dtd10_32x32", "scene15_32x32"), "dtd10_s160"
SIDE_PX, SEEDS = 160, 3
MODEL = "networks:efficientnet_lite0"
MEAN, STD = 127 / 255, 128 / 255
GOALS = {"accuracy": 92.0, "near AUROC": 84.0, "far AUROC": 98.0}
MINUTES_GOAL = 10.0
FINE_TUNE = RECIPES.get("fine-tune").options
WITHIN = 1.0  # point of accuracy, of the peer


def split(source: Path, target: Path) -> None:
    """Folders `train`, `test` and `unknown`, every photograph in one of them."""
    photographs = sorted(source.rglob("*.jpg"))
    copies = Counter(path.read_bytes() for path in photographs)
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        files = [f for f in photographs if f.parent == folder and copies[f.read_bytes()] == 1]
        random.Random(0).shuffle(files)
        held_out = round(TEST_SHARE * len(files))
        parts = {f"test/{folder.name}": files[:held_out], f"train/{folder.name}": files[held_out:]}
        for name, chosen in ({"unknown": files} if folder.name == NEAR else parts).items():
            (target / name).mkdir(parents=True, exist_ok=True)
            for file in chosen:
                shutil.copy(file, target / name)


def fine_tuned(seed: int, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Percentages on the test images of the file as shipped, and what training took."""
    run, file = folder / f"seed{seed}", folder / f"seed{seed}.onnx"
    started = time.monotonic()
    options = {name: getattr(arguments, name) for name in ("weights", "recipe", "mean", "std")}
    if arguments.from_scratch:
        options = {"recipe": "photographs-from-scratch", "epochs": arguments.from_scratch}
        options["batch_size"] = FINE_TUNE["batch_size"].value
    if arguments.quick:
        options["epochs"] = 1
    try:
        report = edge_ood.train(
            folder / "train",
            run,
            model=arguments.model,
            outliers=arguments.outliers,
            image_size=SIDE_PX,
            seed=seed,
            force=True,
            **options,
        )
    except ChanceLevelError as error:
        raise SystemExit(str(error)) from error
    edge_ood.export(run, file, model=arguments.model, force=True)
    minutes = (time.monotonic() - started) / 60
    found = edge_ood.evaluate(
        file,
        id=folder / "test",
        near=[folder / "unknown"],
        far=[arguments.data / name for name in FAR],
        ood=[arguments.data / SHARP],
    )
    return {**of_evaluation(found), "minutes": minutes, "epoch s": epoch_seconds(report.epochs)}


def of_evaluation(found: edge_ood.Evaluation) -> dict[str, float]:
    """Accuracy, and the AUROC of what decides on each group of sets, a mean over them."""
    (model,) = found.models
    measured = {
        "near AUROC": model.groups["near"],
        "far AUROC": model.groups["far"],
        "sharp": model.ood[SHARP],
    }
    aurocs = {name: 100 * of.metrics[model.primary].auroc for name, of in measured.items()}
    return {"accuracy": 100 * model.id.accuracy, **aurocs}


def half_width(values: Sequence[float]) -> float:
    """Of the 95 % interval of the mean, by Student's t."""
    quantile = stats.t.ppf(0.975, len(values) - 1)
    return float(quantile * statistics.stdev(values) / len(values) ** 0.5)


def epoch_seconds(epochs: Sequence[Any]) -> float:
    """Of the median epoch, without the first, in which less may learn."""
    return statistics.median(epoch.seconds for epoch in epochs[1:] or epochs)


def rows(arguments: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The table, a line for each seed, then goals beside what was found."""
    split(arguments.data / "trashnet_s128", folder)
    seeds = range(1 if arguments.quick else SEEDS)
    found = []
    for seed in seeds:
        found.append(fine_tuned(seed, folder, arguments))
        if seed == 0:
            yield "seed  " + "  ".join(f"{name:>10}" for name in found[0])
        yield f"{seed:4}  " + "  ".join(f"{value:10.2f}" for value in found[-1].values())
    mean = {name: statistics.mean(each[name] for each in found) for name in found[0]}
    yield "mean  " + "  ".join(f"{value:10.2f}" for value in mean.values())
    if len(found) > 1:
        half = {name: half_width([each[name] for each in found]) for name in mean}
        yield " +/-  " + "  ".join(f"{value:10.2f}" for value in half.values())
    if arguments.from_scratch:
        return
    for name, goal in GOALS.items():
        yield str(Promise(name, f"{mean[name]:.2f} %", f">={goal} %", mean[name] >= goal))
    minutes = mean["minutes"]
    kept = minutes <= MINUTES_GOAL
    yield str(Promise("time of a run", f"{minutes:.1f} min", f"<={MINUTES_GOAL} min", kept))
    if arguments.peer:
        yield from against_peer(arguments, folder, mean)


def against_peer(
    arguments: argparse.Namespace, folder: Path, mean: dict[str, float]
) -> Iterator[str]:
    """Accuracy and time of an epoch of the other loop, beside the means."""
    peer = trained_by_references(
        folder, arguments.weights, side_px=SIDE_PX, mean=arguments.mean, std=arguments.std,
        epochs=1 if arguments.quick else FINE_TUNE["epochs"].value,
    )  # fmt: skip
    yield f"peer: accuracy {peer.accuracy:.2f} %, an epoch {peer.epoch_s:.1f} s"
    behind = peer.accuracy - mean["accuracy"]
    yield str(Promise("behind the peer", f"{behind:.2f} points", f"<={WITHIN}", behind <= WITHIN))
    ratio = mean["epoch s"] / peer.epoch_s
    yield str(Promise("time of an epoch, of the peer's", f"{ratio:.2f}x", "<=1.0x", ratio <= 1))


def main() -> None:
    """Read the command line, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the image sets")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--weights", type=Path, help="of the network")
    start.add_argument("--from-scratch", type=int, metavar="EPOCHS", help="random weights")
    parser.add_argument("--model", default=MODEL, help="of edge-ood, that they belong to")
    parser.add_argument("--mean", type=float, default=MEAN, help="of pixels, that they expect")
    parser.add_argument("--std", type=float, default=STD, help="of pixels, that they expect")
    parser.add_argument("--recipe", default="fine-tune", help="of edge-ood")
    parser.add_argument("--outliers", type=Path, help="folder of them, for a recipe that has some")
    parser.add_argument("--peer", action="store_true", help="train by torchvision's loop, too")
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch")
    arguments = parser.parse_args()
    print(machine("one run of each seed"))
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(arguments, Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
