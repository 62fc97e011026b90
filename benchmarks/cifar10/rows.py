"""What the rows of the CIFAR-10 table are: which recipe trains each, from what, at which scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_ood.recipes import RECIPES

__all__ = [
    "OOD_SETS",
    "ROWS",
    "SCALES",
    "STAGES",
    "Folders",
    "Scale",
    "Stage",
    "evaluate_command",
    "export_command",
    "planned_stages",
    "train_command",
]

OOD_SETS = (
    "cifar100",
    "textures",
    "characters",
    "scenes",
    "mnist",
    "fashion-mnist",
    "gaussian",
    "uniform",
)
_SCORES = ("energy", "mahalanobis", "msp", "odin", "uniform_ce")


@dataclass(frozen=True)
class Scale:
    """How many images there are; None takes all that the packs have.

    Attributes:
        training: Before `held_out` of them are set aside twice.
        held_out: Training images for calibration, and as many again for validation.
        exposure: Auxiliary outliers.
        test: ID test images.
        ood: Images of each OOD set.
        remark: What a reader of the table must know.
    """

    training: int | None
    held_out: int
    exposure: int | None
    test: int | None
    ood: int
    remark: str


SCALES = {
    "full": Scale(None, 1000, None, None, 2000, "The published recipes on all images."),
    "small": Scale(
        5000,
        100,
        2000,
        500,
        500,
        "**Scaled down to run on a CPU in minutes**: WRN-16-2 in place of WRN-40-2, a tenth of the"
        " images, batches of 64 ID images and 64 outliers, 5 epochs from scratch and 2 of"
        " fine-tuning (1 of the discrepancy's double steps), at a learning rate of 0.01 and with"
        " measured energy margins. It shows that the commands work and which way the numbers move;"
        " the values are not those of the papers' setting.",
    ),
}


@dataclass(frozen=True)
class Stage:
    """One training run.

    Attributes:
        recipe: Name of its recipe.
        start: The stage whose run it goes on from, or empty.
        score: The score that its paper detects with; empty if the run is no row of its own.
        options: What is typed beyond the recipe, at every scale.
        by_scale: What is typed beyond that, by scale.
    """

    recipe: str
    start: str = ""
    score: str = ""
    options: tuple[str, ...] = ()
    by_scale: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_BATCHES = ("--batch-size", "64", "--outlier-batch-size", "64")
_SMALL = ("--model", "wrn-16-2:dropout=0.3", "--epochs", "5", *_BATCHES)
_SMALL_TUNED = ("--epochs", "2", "--lr", "0.01", *_BATCHES)

STAGES = {
    "cross-entropy": Stage("baseline-cifar10", score="msp", by_scale={"small": _SMALL}),
    "oe-tuned": Stage(
        "oe-tuned-cifar10", "cross-entropy", score="msp", by_scale={"small": _SMALL_TUNED}
    ),
    "oe-scratch": Stage("oe-cifar10", score="msp", by_scale={"small": _SMALL}),
    "energy-tuned": Stage(
        "energy-tuned-cifar10",
        "cross-entropy",
        score="energy",
        by_scale={"small": (*_SMALL_TUNED, "--objective", "energy-bounded")},
    ),
    "two-heads": Stage("baseline-cifar10", options=("--heads", "2"), by_scale={"small": _SMALL}),
    "mcd-auxiliary": Stage(
        "mcd-cifar10",
        "two-heads",
        score="mcd_l1",
        by_scale={"small": ("--epochs", "1", *_BATCHES)},
    ),
}
ROWS = tuple(name for name, stage in STAGES.items() if stage.score)


@dataclass(frozen=True)
class Folders:
    """Where a scale's images and runs are.

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


def planned_stages(row: str) -> list[str]:
    """The stages that a row needs, each after the one it starts from."""
    start = STAGES[row].start
    return [*planned_stages(start), row] if start else [row]


def train_command(name: str, scale: str, seed: int, folders: Folders) -> list[str]:
    """Arguments of `edge-ood` that train a stage, or go on where it was interrupted."""
    stage = STAGES[name]
    data = folders.data
    command = ["train", str(data / "train"), "--recipe", stage.recipe]
    if stage.start:
        command += ["--from", str(folders.run(stage.start, seed))]
    if RECIPES.get(stage.recipe).needs_outliers:
        command += ["--outliers", str(data / "exposure")]
    command += ["--calibration", str(data / "calibration")]
    command += ["--validation", str(data / "validation")]
    command += [*stage.options, *stage.by_scale.get(scale, ()), "--seed", str(seed)]
    return [*command, "-o", str(folders.run(name, seed)), "--resume"]


def export_command(run: Path, artefact: Path, heads: int) -> list[str]:
    """Arguments of `edge-ood` that export a run with every score it has inputs for."""
    scores: Sequence[str] = (*_SCORES, "mcd_l1") if heads == 2 else _SCORES
    return ["export", str(run), "-o", str(artefact), "--scores", ",".join(scores), "--force"]


def evaluate_command(artefact: Path, data: Path, document: Path) -> list[str]:
    """Arguments of `edge-ood` that evaluate an artefact on all sets."""
    command = ["evaluate", str(artefact), "--id", str(data / "test")]
    for name in OOD_SETS:
        command += ["--ood", str(data / "ood" / name)]
    # A table of seeds shows how far numbers move; intervals would only take time.
    return [*command, "--bootstrap", "0", "--json", str(document), "--force"]
