"""How to train: one checked value for the command line, the loop and the run directory."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from edge_ood.errors import InputError
from edge_ood.files.document import Document
from edge_ood.registry import Spec

__all__ = [
    "ADAMW",
    "ALL",
    "ALTERNATE_FLIP",
    "AUGMENTATIONS",
    "BALANCED_LOSS",
    "BALANCED_SAMPLING",
    "BEST",
    "BLUR",
    "COLOR",
    "COSINE",
    "CROP",
    "DEFAULT_AUGMENTATION",
    "DEFAULT_MODEL",
    "DEFAULT_OBJECTIVE",
    "DIVERSE",
    "EMA",
    "ERASE",
    "FLIP",
    "FOLDER",
    "FROZEN",
    "LEARNED",
    "OPTIMIZERS",
    "OUTLIER_SAMPLINGS",
    "OUTLIER_SOURCES",
    "PRECISIONS",
    "PUBLISHED",
    "RESIZED_CROP",
    "ROTATE",
    "SCHEDULES",
    "SELF",
    "SGD",
    "SYNCHRONIZED",
    "TRANSLATE",
    "TRIVIAL",
    "Settings",
]

CROP, FLIP, RESIZED_CROP, COLOR = "crop", "flip", "resized-crop", "color"
ROTATE, BLUR, ERASE, TRIVIAL = "rotate", "blur", "erase", "trivial"
TRANSLATE, ALTERNATE_FLIP = "translate", "alternate-flip"
AUGMENTATIONS = (
    CROP,
    TRANSLATE,
    FLIP,
    ALTERNATE_FLIP,
    RESIZED_CROP,
    COLOR,
    ROTATE,
    BLUR,
    ERASE,
    TRIVIAL,
)
DEFAULT_AUGMENTATION = (CROP, FLIP)
PRECISIONS = ("fp32", "bf16", "auto")
SGD, ADAMW = OPTIMIZERS = ("sgd", "adamw")
COSINE, CONSTANT, STEP = SCHEDULES = ("cosine", "constant", "step")
EMA, BEST = "ema", "best"
BALANCED_LOSS, BALANCED_SAMPLING = "loss", "sampling"
DIVERSE = "diverse"
OUTLIER_SAMPLINGS = ("random", DIVERSE)
FOLDER, SELF = "folder", "self"
OUTLIER_SOURCES = (FOLDER, SELF)

ALL = "all"
LEARNED, FROZEN, SYNCHRONIZED = BATCH_NORMS = ("learned", "frozen", "synchronized")
PUBLISHED = "pretrained"
"""What stands in place of a file for the weights that a network's publisher has trained."""

DEFAULT_MODEL, DEFAULT_OBJECTIVE = "wrn-40-2", "cross-entropy"
"""What a run trains, and how, unless it is told."""

_CHOICES = {
    "batch_norm": BATCH_NORMS,
    "precision": PRECISIONS,
    "outlier_sampling": OUTLIER_SAMPLINGS,
    "outlier_source": OUTLIER_SOURCES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "average": ("none", EMA),
    "balance": ("none", BALANCED_LOSS, BALANCED_SAMPLING),
    "keep": ("last", BEST),
}
_RATES = ("learning_rate", "final_learning_rate", "momentum", "weight_decay", "mixup", "clip_norm")


@dataclass(frozen=True)
class Settings:
    """How to train, apart from the images.

    Attributes:
        model: Name and parameters of the network.
        objective: Name and parameters of the training method.
        heads: Linear heads, 1 or 2.
        augmentation: Which of `AUGMENTATIONS` are drawn for each training image and outlier, see
            `edge_ood.training.augmentation`; the order says nothing.
        epochs: Passes over the training images.
        batch_size: Training images per step, over all processes.
        outlier_batch_size: Outliers per step, over all processes, when there are any.
        outlier_sampling: Which outliers a step has: `random` ones, or the `diverse` ones of several
            times as many, see `edge_ood.training.step_outliers`.
        outlier_source: Where outliers come from, if the objective uses any: a `folder`, or `self`:
            each training image of the step has one made of it, see
            `edge_ood.training.virtual_outliers`.
        shuffled_share: Of the pixels, in (0, 1], where outliers are made of training images.
        optimizer: `sgd` or `adamw`.
        learning_rate: The largest: at the first step, or after the warm-up.
        final_learning_rate: What the cosine ends at.
        warmup: Epochs, or parts of one, in which the rate rises to the largest; fewer than all.
        schedule: What the rate does then, see `edge_ood.training.optimisation.learning_rate`.
        momentum: Nesterov's, in [0, 1), of `sgd`.
        weight_decay: L2, added to the gradient by `sgd`, apart from it by `adamw`.
        clip_norm: The L2 norm to which longer gradients of a step are shortened; 0 for none.
        average: `ema` validates and saves a moving average of the weights, see
            `edge_ood.training.averaging`; `none` the weights themselves.
        label_smoothing: Share of every target that is spread over all classes, in [0, 1).
        mixup: Both parameters of the beta distribution of the shares in which images are mixed; 0
            mixes nothing.
        balance: What lets small classes count as much as large ones: `loss` weights images,
            `sampling` draws each class equally often; `none` does neither.
        keep: Which weights are saved: those after the `last` epoch, or after the `best` one by
            validation accuracy.
        patience: Epochs without a higher validation accuracy after which training ends; 0 never.
        precision: Of the forward pass: `fp32`, `bf16`, or `auto`, which is settled before training.
        compile: Whether `torch.compile` writes the network's kernels; the last bits differ then.
        freeze: How many of the first epochs the trunk keeps its weights, or `all`.
        batch_norm: Statistics of batch normalisation: `learned` of each batch, by each process of
            its own share; `synchronized` over the shares of all; or `frozen`.
        head_rate: Learning rate of the heads, as a multiple.
        new_head: Whether a last layer that came with the first weights starts afresh, even where
            it tells as many classes apart as there are.
        seed: Every random draw is a function of it, the epoch and the step.
        recipe: The recipe that what was not chosen by hand comes from; a name on the record.

    Raises:
        InputError: If a field is out of range.
    """

    model: Spec
    objective: Spec
    heads: int = 1
    augmentation: tuple[str, ...] = DEFAULT_AUGMENTATION
    epochs: int = 100
    batch_size: int = 128
    outlier_batch_size: int = 256
    outlier_sampling: str = "random"
    outlier_source: str = FOLDER
    shuffled_share: float = 0.15
    optimizer: str = SGD
    learning_rate: float = 0.1
    final_learning_rate: float = 1e-6
    warmup: float = 0.0
    schedule: str = COSINE
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip_norm: float = 0.0
    average: str = "none"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    balance: str = "none"
    keep: str = "last"
    patience: int = 0
    precision: str = "fp32"
    compile: bool = False
    freeze: str = "0"
    batch_norm: str = LEARNED
    head_rate: float = 1.0
    new_head: bool = False
    seed: int = 0
    recipe: str = ""

    @property
    def frozen_epochs(self) -> int:
        """How many of the first epochs the trunk keeps its weights."""
        return self.epochs if self.freeze == ALL else int(self.freeze)

    def to_json(self) -> dict[str, Any]:
        """Plain values by field; models and objectives as their name and parameters."""
        specs = {
            name: {"name": spec.name, "parameters": dict(spec.parameters)}
            for name, spec in (("model", self.model), ("objective", self.objective))
        }
        return {**asdict(self), **specs}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], origin: str) -> "Settings":
        """Read and check what `to_json` wrote; a field that has a default may be missing.

        Args:
            values: Anything.
            origin: The file that it comes from, which the names in it keep.

        Raises:
            InputError: If a field is missing, unknown, of the wrong type or out of range.
        """
        document = Document(values)
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(f"there is no setting {unknown[0]!r}")
        chosen: dict[str, Any] = {
            field.name: document.get(field.name, type(field.default), field.default)
            for field in fields(cls)
            if isinstance(field.default, bool | int | float | str)
        }
        for name in ("model", "objective"):
            spec = document.document(name)
            chosen[name] = Spec(spec.get("name", str), spec.get("parameters", dict), origin)
        augmentation = document.each("augmentation", str, list(DEFAULT_AUGMENTATION))
        return cls(**chosen, augmentation=tuple(augmentation))

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "outlier_batch_size", "heads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 1 or more")
        limits = {
            "seed": 2**32,
            "warmup": self.epochs,
            "label_smoothing": 1,
            "patience": math.inf,
            **dict.fromkeys(_RATES, math.inf),
        }
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) < limit:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 <= {name} < {limit}")
        if self.heads > 2 or self.momentum >= 1:
            raise InputError(
                f"{self.heads} heads and momentum {self.momentum}, expected 1 or 2 and less than 1"
            )
        if not 0 < self.shuffled_share <= 1:
            raise InputError(
                f"shuffled_share is {self.shuffled_share}, expected more than 0 and at most 1"
            )
        self._check_words()
        self._check_transfer()

    def _check_transfer(self) -> None:
        if not (self.freeze == ALL or (self.freeze.isdecimal() and self.freeze.isascii())):
            raise InputError(
                f"freeze is {self.freeze!r}, expected a number of epochs or {ALL}",
                hint=f"--freeze {ALL} trains heads alone, --freeze 1 the trunk after one epoch",
            )
        if not 0 < self.head_rate < math.inf:
            raise InputError(f"head_rate is {self.head_rate}, expected more than 0")

    def _check_words(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(choices)}"
                )
        if not set(self.augmentation) <= set(AUGMENTATIONS):
            raise InputError(
                f"augmentation is {','.join(self.augmentation)!r},"
                f" expected some of {','.join(AUGMENTATIONS)}",
                hint="--augmentation none switches all off",
            )
        if {CROP, TRANSLATE} <= set(self.augmentation):
            raise InputError(
                "augmentation has crop and translate, expected one of them: both shift images",
                hint="crop shifts further and fills with black, translate with what is mirrored",
            )
