"""What the rows of the tables are: which network each trains, how, and from what."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_sets import CIFAR10, IMAGENET, Images

from edge_ood.recipes import RECIPES
from edge_ood.scores import HEADS

__all__ = [
    "CHECKED",
    "GROUPS",
    "MEASURES",
    "NETWORKS",
    "PUBLISHED",
    "ROWS",
    "STAGES",
    "Folders",
    "Stage",
    "attach_command",
    "environment",
    "evaluate_command",
    "export_command",
    "images_of",
    "network_of",
    "planned_stages",
    "program",
    "sets_of",
    "train_command",
]


CHECKED = ("textures", "uniform")
"""Sets on which a row is measured a second time, from the network on."""

MEASURES = {
    "auroc": "AUROC",
    "aupr_in": "AUPR-In",
    "aupr_out": "AUPR-Out",
    "fpr95_id_positive": "FPR95 ID-positive",
    "fpr95_ood_positive": "FPR95 OOD-positive",
    "detection_error": "detection error",
}
"""What is kept of each score on each OOD set, as `evaluate --json` names it, and in tables."""

_REPLICATES = "200"  # of images, for intervals

NETWORKS = str(Path(__file__).parents[1] / "published")
"""Where the factories of published networks are."""


@dataclass(frozen=True)
class Published:
    """A network whose weights somebody trained on all training images that there are.

    Attributes:
        factory: In `benchmarks/published/networks.py`.
        file: In the folder of weights.
        mean: Of pixels, R,G,B.
        std: Likewise.
        error: On all test images, in percent, as published.
        without: Heads that it has too few features for, or too few images of each class.
        images: What it was trained for.
        resizing: How images are brought to its size.
    """

    factory: str
    file: str
    mean: str
    std: str
    error: float
    without: tuple[str, ...] = ()
    images: Images = CIFAR10
    resizing: tuple[str, ...] = ()


_USUAL = ("0.485,0.456,0.406", "0.229,0.224,0.225")
_ODIN = ("0.49137,0.48235,0.44667", "0.24706,0.24353,0.26157")
_WITHOUT = {
    "fast": ("adascale", "ash", "bfact", "lts", "optfs", "react", "scale", "vra"),
    "wrn": (),
}
"""Heads that shape features, which behind GELU are sometimes negative."""

_FEW_IMAGES = ("adascale", "ctm", "kl_matching", "mahalanobis", "residual", "rmd", "she", "vim")
"""Heads that an image of every class is needed for, or more images than 512; and `adascale`, in
which the attached file and its reference are 0.31 apart where the parity gate allows 0.29."""

_NARROW = ("adascale", "ash", "lts")  # a tenth of 64 features would decide

PUBLISHED = {
    "resnet20": Published("resnet20", "resnet20_cifar10.safetensors", *_USUAL, 8.27, _NARROW),
    "resnet56": Published("resnet56", "resnet56_cifar10.safetensors", *_USUAL, 6.61, _NARROW),
    "densenet-bc-100-12": Published(
        "densenet_bc_100_12", "densenet_bc_100_12_cifar10.safetensors", *_ODIN, 4.81
    ),
    "efficientnet-lite0": Published(
        "efficientnet_lite0",
        "efficientnet-lite0.pth",
        ",".join(3 * ["0.498039"]),
        ",".join(3 * ["0.501961"]),
        24.9,
        _FEW_IMAGES,
        IMAGENET,
        ("--crop", "0.875", "--interpolation", "bicubic"),
    ),
}

_PUBLISHED, _PHOTOGRAPHS = "published", "photographs"
GROUPS = {
    _PUBLISHED: "Published networks as they are: scores alone",
    _PHOTOGRAPHS: "A published network for ImageNet: scores alone",
    "tuned": "Fine-tuned from the published weights",
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
    **{
        name: Stage(_PHOTOGRAPHS if of.images is IMAGENET else _PUBLISHED, "combined", start=name)
        for name, of in PUBLISHED.items()
    },
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
        root: Holds what `prepare.py` writes, and one folder of runs for each seed.
        images: Those of the rows at hand.
    """

    root: Path
    images: Images = CIFAR10

    @property
    def data(self) -> Path:
        """The image folders."""
        return self.root / self.images.folder

    def run(self, stage: str, seed: int) -> Path:
        """The run directory of a stage."""
        return self.root / f"seed{seed}" / stage

    def weights(self, name: str) -> Path:
        """The file of a published network."""
        return self.root / "weights" / PUBLISHED[name].file


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


def images_of(row: str) -> Images:
    """What a row is made and measured with."""
    network = network_of(row)
    return PUBLISHED[network].images if network else CIFAR10


def sets_of(row: str) -> tuple[str, ...]:
    """The OOD sets that a row is shown."""
    images = images_of(row)
    return images.ood if STAGES[row].recipe else (*images.ood, *images.exposed)


def environment() -> dict[str, str]:
    """In which `edge-ood` finds the published networks' code."""
    paths = [NETWORKS, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _somebodys(name: str, folders: Folders) -> list[str]:
    network = PUBLISHED[name]
    command = ["--model", f"networks:{network.factory}", "--weights", str(folders.weights(name))]
    return [*command, *_preprocessing(network)]


def _preprocessing(network: Published) -> list[str]:
    size = ["--image-size", str(network.images.size_px), *network.resizing]
    return [*size, "--mean", network.mean, "--std", network.std]


def _classes(folders: Folders) -> list[str]:
    return [] if folders.images.is_whole else ["--classes", str(folders.data / "classes.txt")]


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
        whose += ["--calibration", str(folders.data / "calibration"), *_classes(folders)]
    else:
        whose = [str(folders.run(row, seed)), *(["--trust"] if network else [])]
    return ["export", *whose, "-o", str(artefact), "--scores", _heads(row), "--force"]


def attach_command(row: str, plain: Path, artefact: Path, folders: Folders) -> list[str]:
    """Arguments of `edge-ood` that attach the same heads to an ONNX file of the network."""
    network, data = PUBLISHED[network_of(row)], folders.data
    command = ["attach", str(plain), "--id", str(data / "train"), *_preprocessing(network)]
    command += ["--calibration", str(data / "calibration"), *_classes(folders)]
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


def evaluate_command(artefact: Path, name: str, document: Path, folders: Folders) -> list[str]:
    """Arguments of `edge-ood` that evaluate an artefact on one OOD set, or on a part of the ID."""
    data, is_part = folders.data, name in folders.images.held_out
    known = name if is_part else "test"
    other = "gaussian:count=10" if is_part else str(data / "ood" / name)
    command = ["evaluate", str(artefact), "--id", str(data / known), "--ood", other]
    command += ["--allow-seen", "--bootstrap", "0"] if is_part else ["--bootstrap", _REPLICATES]
    return [*command, "--json", str(document), "--force"]


def program(arguments: Sequence[str]) -> list[str]:
    """The command beside this Python."""
    return [str(Path(sys.executable).with_name("edge-ood")), *arguments]
