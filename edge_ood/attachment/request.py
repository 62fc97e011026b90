"""What a user may choose about an artefact, and what the pipeline needs to make it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import onnx

from edge_ood.artifact.metadata import PRECISIONS
from edge_ood.calibration.combination import COMBINED, FEWEST_COMBINED
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.temperature import check_temperature
from edge_ood.errors import InputError, UnknownNameError
from edge_ood.graph.last_layer import last_layer
from edge_ood.graph.precision import INT8_TARGETS
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.limits import Reference
from edge_ood.registry import Spec
from edge_ood.runtime.ray_workers import Cluster
from edge_ood.scores import (
    DEFAULT_COMBINED,
    DEFAULT_HEADS,
    HEADS,
    BoundHead,
    LinearLayer,
    bind_head,
    heads_where,
)

__all__ = [
    "AUTO",
    "EPSILON_CRITERIA",
    "STATISTICS_SOURCES",
    "Options",
    "Request",
]

AUTO = "auto"
"""Asks for the primary head that training-side evidence prefers."""

STATISTICS_SOURCES = ("training", "calibration")
EPSILON_CRITERIA = ("declared", "auto", "outliers", "fgsm", "id-only")


@dataclass(frozen=True)
class Options:
    """What a user chooses about an artefact.

    Attributes:
        heads: Score heads with parameters as text; empty for the default ones that the classifier
            has inputs for.
        primary: The head behind `pvalue` and `is_ood`; None for the default one of
            `edge_ood.attachment.deciding`; `auto` for the one that `edge_ood.attachment.choosing`
            finds better than that, if there is one.
        guarantee: The false-alarm rate on ID images, and in which sense it is held.
        statistics: `training`, or `calibration`: one half of those images, by hash, fits the
            statistics and the other half sets the thresholds.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        epsilon: How heads that perturb get the length of their step: `declared` keeps what their
            parameters say; `outliers` and `fgsm` maximise the AUROC of training images against
            auxiliary outliers or adversarial training images, `auto` by the first if there are
            any; `id-only` is Generalized ODIN's criterion.
        layers: Feature layers besides the penultimate: names of submodules, or `auto` alone.
        precision: What the classifier computes in: `fp32`, `fp16` or `int8`.
        int8_target: Processor that int8 is laid out for, one of `INT8_TARGETS`; None for the
            first.
        max_label_flips: Largest share of images whose label conversion may change; None for any.
        temperature: Of the class probabilities; None chooses it on labelled images that trained
            nothing and set no threshold, where there are any.
        cluster: Where statistics and thresholds are computed, if not here.

    Raises:
        UnknownNameError: If a head or parameter does not exist; the hint has the closest.
        InputError: If a value is out of range, or the primary head is not among the heads.
    """

    heads: Sequence[Spec] = ()
    primary: str | None = None
    guarantee: Guarantee = field(default_factory=Guarantee)
    statistics: str = "training"
    provider: str = "auto"
    epsilon: str = "declared"
    layers: tuple[str, ...] = ()
    precision: str = "fp32"
    int8_target: str | None = None
    max_label_flips: float | None = None
    temperature: float | None = None
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        self._check_names()
        if self.statistics not in STATISTICS_SOURCES:
            raise InputError(
                f"statistics from {self.statistics!r}, expected training or calibration"
            )
        if self.epsilon not in EPSILON_CRITERIA:
            raise InputError(
                f"epsilon by {self.epsilon!r}, expected one of {', '.join(EPSILON_CRITERIA)}",
                hint=f"a number goes to its head: --scores {_perturbing()[0]}:epsilon=0.002",
            )
        if self.temperature is not None:
            check_temperature(self.temperature)
        self._check_use()
        self._check_precision()
        self._check_steps()

    @cached_property
    def bound_heads(self) -> tuple[BoundHead, ...]:
        """The heads with all their parameters and no statistics yet; none where none was chosen."""
        return tuple(bind_head(spec) for spec in self.heads)

    @property
    def default_names(self) -> tuple[str, ...]:
        """The default heads, and the one that is to decide, unless that perturbs its images."""
        also = self.primary
        if also in (None, AUTO, COMBINED, *DEFAULT_HEADS) or bind_head(Spec(str(also))).epsilon:
            return DEFAULT_HEADS
        return tuple(sorted((*DEFAULT_HEADS, str(also))))

    def _check_names(self) -> None:
        names = [head.name for head in self.bound_heads] or list(self.default_names)
        if len(set(names)) != len(names):
            raise InputError(f"scores {', '.join(names)} name a head twice")
        if self.guarantee.combined:
            _check_combinable(names)
            self.guarantee.members(names)
            names = [*names, COMBINED]
        if self.primary not in (None, AUTO, *names):
            if self.primary != COMBINED:
                HEADS.get(str(self.primary))
            raise InputError(
                f"primary head {self.primary!r} is not among the scores {', '.join(names)}",
                hint=f"add it to --scores, or pass --primary {names[0]}",
            )

    def _check_use(self) -> None:
        """Refuse what no chosen head would notice."""
        bound = self.bound_heads
        if self.epsilon != "declared" and not any(head.is_tunable for head in bound):
            raise InputError(
                f"epsilon by {self.epsilon!r}, but no score has a step to choose",
                hint=f"add {' or '.join(_perturbing())} to --scores",
            )
        if self.layers and bound and not any(_reads_features(head) for head in bound):
            raise InputError(
                f"feature layers {', '.join(self.layers)}, but no score reads features",
                hint=f"add {' or '.join(heads_where(_reads_features))} to --scores, or leave out "
                "--layers",
            )

    def _check_precision(self) -> None:
        """Refuse a precision that is unknown or breaks a head, and settings that it ignores."""
        if self.precision not in PRECISIONS:
            raise UnknownNameError("precision", self.precision, PRECISIONS)
        if self.int8_target is not None and self.int8_target not in INT8_TARGETS:
            raise UnknownNameError("int8 target", self.int8_target, INT8_TARGETS)
        if self.int8_target is not None and self.precision != "int8":
            raise InputError(
                f"an int8 target for a classifier in {self.precision}",
                hint="add --precision int8, or leave out --int8-target",
            )
        if self.max_label_flips is None:
            return
        if self.precision == "fp32":
            raise InputError(
                "a limit of label flips for a classifier in fp32, which nothing converts",
                hint="add --precision int8 or fp16, or leave out --max-label-flips",
            )
        if not 0 <= self.max_label_flips <= 1:
            raise InputError(
                f"at most {self.max_label_flips!r} of the labels may flip, expected a share in "
                "[0, 1]",
                hint="0.01 allows one image in a hundred",
            )

    def _check_steps(self) -> None:
        """Refuse int8 for heads that follow a gradient."""
        perturbing = [head.name for head in self.bound_heads if head.epsilon]
        if self.precision == "int8" and perturbing:
            raise InputError(
                f"score {perturbing[0]!r} steps along the sign of a gradient, which does not exist "
                "in int8: rounding is flat between its steps",
                hint=f"leave {perturbing[0]!r} out of --scores, set its epsilon to 0, or export "
                "with --precision fp16",
            )


@dataclass(frozen=True)
class Request:
    """What to attach to which classifier.

    Attributes:
        classifier: As `edge_ood.graph.assemble` describes it.
        reference: The same classifier in float64 and float32, for the parity gate.
        preprocess: From decoded pixels to network input.
        classes: K class names.
        training: Labelled training images; statistics and parity images come from them. They need
            no labels where no head is fitted by class.
        calibration: ID images for thresholds; labelled if statistics come from them, too.
        options: What the user chose.
        outliers: Auxiliary outliers of the training, for the manifest and to choose parameters by.
        others: Further images that training made use of, by role, for the manifests.
        validation: Labelled images that were held back from training, to choose the temperature by.
        provenance: Model, objective, seed and the like, for the metadata.
        training_role: What the manifest calls the images in `training`, where it is not known what
            the classifier was trained on.
        missing: By head, why this classifier cannot have it, as far as its outputs do not tell.
        lent: Those in `training` that are ID images held back from calibration, so that they may
            fit or choose something; they set thresholds where there is nothing of the kind.

    Raises:
        InputError: If parameters are to be chosen by outliers and there are none.
    """

    classifier: onnx.ModelProto
    reference: Reference
    preprocess: Preprocess
    classes: tuple[str, ...]
    training: ImageSet
    calibration: ImageSet
    options: Options = field(default_factory=Options)
    outliers: ImageSet = field(default_factory=lambda: ImageSet(()))
    others: Mapping[str, ImageSet] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    training_role: str = "training"
    missing: Mapping[str, str] = field(default_factory=dict)
    lent: ImageSet = field(default_factory=lambda: ImageSet(()))
    validation: ImageSet = field(default_factory=lambda: ImageSet(()))

    @cached_property
    def linear(self) -> LinearLayer | None:
        """The classifier's last linear layer; None where there is none that reads its features."""
        return last_layer(self.classifier)

    def __post_init__(self) -> None:
        sources = {head.weights_source for head in self.options.bound_heads}
        if "outliers" in {self.options.epsilon, *sources} and not len(self.outliers):
            raise InputError(
                "there are no outliers to choose parameters by",
                hint="choose by fgsm, or take a network that was trained with outliers",
            )


def _check_combinable(heads: Sequence[str]) -> None:
    if len(heads) < FEWEST_COMBINED:
        some = DEFAULT_COMBINED[:FEWEST_COMBINED]
        raise InputError(
            f"{COMBINED!r} combines two scores or more, got {', '.join(heads) or 'none'}",
            hint=f"name others beside it: --scores {','.join((*some, COMBINED))}",
        )


def _perturbing() -> list[str]:
    """The heads that perturb unless they are told not to, and whose step may be chosen."""
    return heads_where(lambda head: head.is_tunable)


def _reads_features(head: BoundHead) -> bool:
    return "features" in head.inputs
