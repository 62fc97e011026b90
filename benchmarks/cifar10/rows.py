"""What the rows of the CIFAR-10 tables are: which network each trains, how, and from what."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ood.recipes import RECIPES
from edge_ood.scores import HEADS

__all__ = [
    "CHECKED",
    "FAR",
    "GROUPS",
    "NEAR",
    "NETWORKS",
    "OOD_SETS",
    "PUBLISHED",
    "ROWS",
    "STAGES",
    "TINY",
    "Folders",
    "Stage",
    "attach_command",
    "environment",
    "evaluate_command",
    "export_command",
    "network_of",
    "planned_stages",
    "program",
    "sets_of",
    "train_command",
]

NEAR = ("cifar100",)
FAR = ("textures", "characters", "scenes", "mnist", "fashion-mnist", "gaussian", "uniform")
TINY = ("tiny-crop", "tiny-resize")
"""Like the images that rows with outliers are exposed to, and so shown to the others alone."""

OOD_SETS = (*NEAR, *FAR)
CHECKED = ("textures", "uniform")
"""Sets on which a row is measured a second time, from the network on."""

NETWORKS = str(Path(__file__).parents[1] / "published")
"""Where the factories of published networks are."""


@dataclass(frozen=True)
class Published:
    """A network whose weights somebody trained on all of CIFAR-10's training images.

    Attributes:
        factory: In `benchmarks/published/networks.py`.
        file: In the packs' folder of weights.
        mean: Of pixels, R,G,B.
        std: Likewise.
        error: On the test images, in percent, as published.
        without: Heads that it has too few features for.
    """

    factory: str
    file: str
    mean: str
    std: str
    error: float
    without: tuple[str, ...] = ()


_IMAGENET = ("0.485,0.456,0.406", "0.229,0.224,0.225")
_ODIN = ("0.49137,0.48235,0.44667", "0.24706,0.24353,0.26157")
_WITHOUT = {
    "fast": ("adascale", "ash", "bfact", "lts", "optfs", "react", "scale", "vra"),
    "wrn": (),
}
"""Heads that shape features, which behind GELU are sometimes negative."""

_NARROW = ("adascale", "ash", "lts")  # a tenth of 64 features would decide

PUBLISHED = {
    "resnet20": Published("resnet20", "resnet20_cifar10", *_IMAGENET, 8.27, _NARROW),
    "resnet56": Published("resnet56", "resnet56_cifar10", *_IMAGENET, 6.61, _NARROW),
    "densenet-bc-100-12": Published(
        "densenet_bc_100_12", "densenet_bc_100_12_cifar10", *_ODIN, 4.81
    ),
}

GROUPS = {
    "published": "Published networks as they are: scores alone",
    "tuned": "ResNet-20, fine-tuned from the published weights",
    "fast": "From scratch on a processor: `--recipe fast-cifar10`",
    "wrn": "WRN-40-2 by the papers' recipes, on a GPU",
}


@dataclass(frozen=True)
class Stage:
    """One network: somebody's, or one that is trained.

    Attributes:
        group: Of the rows that stand in one table.
        score: What its paper detects with; empty if the network is no row of its own.
        recipe: That trains it; empty for one that stays as it is.
        start: The stage, or published network, that it goes on from; empty for random weights.
        options: What is typed beyond the recipe.
    """

    group: str
    score: str = ""
    recipe: str = ""
    start: str = ""
    options: tuple[str, ...] = ()

    @property
    def outliers(self) -> bool:
        """Whether it has seen the exposure images."""
        exposed = bool(self.recipe) and RECIPES.get(self.recipe).needs_outliers
        return (exposed or "outlier-exposure" in self.options) and "self" not in self.options


_OE, _ENERGY = "oe-tuned-cifar10", "energy-tuned-cifar10"
_FROZEN = ("--batch-norm", "frozen", "--compile")
"""Otherwise the statistics are of ID images and outliers together, which a small network pays for:
`resnet20-oe-batch-norm` is fine-tuned so, as the papers' code does. Compiled, a step takes three
quarters of the time; that needs a C++ compiler."""

_SELF = ("--objective", "outlier-exposure", "--outliers", "self")

STAGES = {
    **{name: Stage("published", "combined", start=name) for name in PUBLISHED},
    "resnet20-oe": Stage("tuned", "msp", _OE, "resnet20", _FROZEN),
    "resnet20-oe-batch-norm": Stage("tuned", "msp", _OE, "resnet20"),
    "resnet20-energy": Stage("tuned", "energy", _ENERGY, "resnet20", _FROZEN),
    "resnet20-two-heads": Stage(
        "tuned", "", "fine-tune", "resnet20", ("--heads", "2", "--epochs", "2", *_FROZEN)
    ),
    "resnet20-mcd": Stage("tuned", "mcd_l1", "mcd-cifar10", "resnet20-two-heads", _FROZEN),
    "resnet20-oe-diverse": Stage(
        "tuned", "msp", _OE, "resnet20", ("--outlier-sampling", "diverse", *_FROZEN)
    ),
    "resnet20-oe-self": Stage("tuned", "msp", _OE, "resnet20", (*_SELF, *_FROZEN)),
    "resnet56-oe": Stage("tuned", "msp", _OE, "resnet56", _FROZEN),
    "fast": Stage("fast", "msp", "fast-cifar10"),
    "fast-logit-norm": Stage("fast", "msp", "fast-cifar10", options=("--objective", "logit-norm")),
    "fast-feature-norm": Stage(
        "fast", "msp", "fast-cifar10", options=("--objective", "feature-norm")
    ),
    "fast-oe": Stage("fast", "msp", "fast-cifar10", options=("--objective", "outlier-exposure")),
    "wrn": Stage("wrn", "msp", "baseline-cifar10"),
    "wrn-oe": Stage("wrn", "msp", _OE, "wrn"),
    "wrn-oe-scratch": Stage("wrn", "msp", "oe-cifar10"),
    "wrn-energy": Stage("wrn", "energy", _ENERGY, "wrn"),
    "wrn-two-heads": Stage("wrn", "", "baseline-cifar10", options=("--heads", "2")),
    "wrn-mcd": Stage("wrn", "mcd_l1", "mcd-cifar10", "wrn-two-heads"),
}
ROWS = tuple(name for name, stage in STAGES.items() if stage.score)


@dataclass(frozen=True)
class Folders:
    """Where images, weights and runs are.

    Attributes:
        root: Holds `data`, which `prepare.py` writes, and one folder of runs for each seed.
    """

    root: Path

    @property
    def data(self) -> Path:
        """The image folders."""
        return self.root / "data"

    def run(self, stage: str, seed: int) -> Path:
        """The run directory of a stage."""
        return self.root / f"seed{seed}" / stage

    def weights(self, name: str) -> Path:
        """The file of a published network."""
        return self.root / "weights" / f"{PUBLISHED[name].file}.safetensors"


def planned_stages(row: str) -> list[str]:
    """The stages that are trained for a row, each after the one it starts from."""
    stage = STAGES[row]
    if not stage.recipe:
        return []
    return [*planned_stages(stage.start), row] if stage.start else [row]


def network_of(row: str) -> str:
    """The published network that a row's weights come from, or empty."""
    start = STAGES[row].start
    if start in PUBLISHED:
        return start
    return network_of(start) if start else ""


def sets_of(row: str) -> tuple[str, ...]:
    """The OOD sets that a row is shown."""
    return OOD_SETS if STAGES[row].group != "published" else (*OOD_SETS, *TINY)


def environment() -> dict[str, str]:
    """In which `edge-ood` finds the published networks' code."""
    paths = [NETWORKS, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _somebodys(name: str, folders: Folders) -> list[str]:
    network = PUBLISHED[name]
    command = ["--model", f"networks:{network.factory}", "--weights", str(folders.weights(name))]
    return [*command, *_pixels(network), "--image-size", "32"]


def _pixels(network: Published) -> list[str]:
    return ["--mean", network.mean, "--std", network.std]


def train_command(name: str, seed: int, folders: Folders) -> list[str]:
    """Arguments of `edge-ood` that train a stage, or go on where it was interrupted."""
    stage, data = STAGES[name], folders.data
    command = ["train", str(data / "train"), "--recipe", stage.recipe]
    if stage.start in PUBLISHED:
        command += _somebodys(stage.start, folders)
    elif stage.start:
        command += ["--from", str(folders.run(stage.start, seed))]
        network = network_of(name)
        command += ["--model", f"networks:{PUBLISHED[network].factory}"] if network else []
    if stage.outliers:
        command += ["--outliers", str(data / "exposure")]
    command += ["--calibration", str(data / "calibration")]
    command += ["--validation", str(data / "validation")]
    command += [*stage.options, "--precision", "auto", "--seed", str(seed)]
    return [*command, "-o", str(folders.run(name, seed)), "--resume"]


def export_command(row: str, seed: int, artefact: Path, folders: Folders) -> list[str]:
    """Arguments of `edge-ood` that export a row's network with every head it has inputs for."""
    network = network_of(row)
    if not STAGES[row].recipe:
        whose = [*_somebodys(network, folders), "--train", str(folders.data / "train")]
        whose += ["--calibration", str(folders.data / "calibration")]
    else:
        whose = [str(folders.run(row, seed)), *(["--trust"] if network else [])]
    return ["export", *whose, "-o", str(artefact), "--scores", _heads(row), "--force"]


def attach_command(row: str, plain: Path, artefact: Path, folders: Folders) -> list[str]:
    """Arguments of `edge-ood` that attach the same heads to an ONNX file of the network."""
    network, data = PUBLISHED[network_of(row)], folders.data
    command = ["attach", str(plain), "--id", str(data / "train"), *_pixels(network)]
    command += ["--calibration", str(data / "calibration"), "--image-size", "32"]
    return [*command, "-o", str(artefact), "--scores", _heads(row), "--force"]


def _heads(row: str) -> str:
    pair = any("--heads" in STAGES[stage].options for stage in planned_stages(row))
    return ",".join([*_named_heads(row, pair=pair), "combined"])


def _named_heads(row: str, *, pair: bool) -> Iterator[str]:
    network = network_of(row)
    without = PUBLISHED[network].without if network else _WITHOUT[STAGES[row].group]
    for name in HEADS.names():
        if name not in without and (pair or "logits_pair" not in HEADS.get(name).inputs):
            yield name


def evaluate_command(artefact: Path, data: Path, name: str, document: Path) -> list[str]:
    """Arguments of `edge-ood` that evaluate an artefact on one OOD set, or on a part of the ID."""
    known = name if name in ("calibration", "validation") else "test"
    other = "gaussian:count=10" if known == name else str(data / "ood" / name)
    command = ["evaluate", str(artefact), "--id", str(data / known), "--ood", other]
    seen = ["--allow-seen"] if known == name else []
    return [*command, *seen, "--bootstrap", "0", "--json", str(document), "--force"]


def program(arguments: Sequence[str]) -> list[str]:
    """The command beside this Python."""
    return [str(Path(sys.executable).with_name("edge-ood")), *arguments]
