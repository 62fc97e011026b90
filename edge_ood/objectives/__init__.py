"""Training objectives: generators of losses, one per file.

An objective yields one loss per optimiser step and does its own forward passes; the training loop
knows none by name. Its file ends with `OBJECTIVE = Objective(...)`.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, get_origin

from torch import Tensor
from torch.nn import functional

from edge_ood.errors import InputError
from edge_ood.registry import Registry, Spec, bind_parameters, parse_spec
from edge_ood.scores import Outputs

__all__ = [
    "OBJECTIVES",
    "Batch",
    "Mean",
    "Measured",
    "Model",
    "Needs",
    "Objective",
    "bind_objective",
    "classification_loss",
    "example_with",
    "head_factor_of",
    "logits_by_head",
    "mixed",
    "needs_of",
    "targets_of",
    "with_virtual_outliers",
]

Mean = Callable[[str, Callable[[Outputs], Tensor]], float]
"""`mean(split, function)`: mean of `function(outputs)` over the images of a split, as validated."""

OBJECTIVES = Registry("edge_ood.objectives", kind="objective", attribute="OBJECTIVE", separator="-")


class Model(Protocol):
    """The network in training."""

    def __call__(
        self,
        images: Tensor,
        *,
        detached_heads: Sequence[int] = (),
        head_inputs: Callable[[Tensor], Tensor] | None = None,
    ) -> Outputs:
        """Outputs of normalised images (N, 3, S, S); each call is a forward pass of its own.

        No gradient reaches the trunk from the heads with the positions `detached_heads`. The heads
        read `head_inputs(features)` of the penultimate features (N, D), or these themselves.
        """


@dataclass(frozen=True)
class Batch:
    """What one training step may use.

    Attributes:
        images: float32 (N, 3, S, S), augmented and normalised.
        labels: int64 (N,).
        outliers: float32 (M, 3, S, S), or None when there are none.
        prior: float32 (K,), the share of each class among all training images.
        unlabelled: float32 (M, 3, S, S), from the image sets that the objective needs for it.
        targets: float32 (N, K), what the heads should say of each image, where that is not its
            label alone: a row of a mixed or smoothed image has several classes, and one of an image
            that counts more or less than others does not sum to 1.
    """

    images: Tensor
    labels: Tensor
    outliers: Tensor | None = None
    prior: Tensor | None = None
    unlabelled: Tensor | None = None
    targets: Tensor | None = None


@dataclass(frozen=True)
class Needs:
    """What an objective asks for besides labelled images.

    Attributes:
        outliers: Whether `batch.outliers` must be there; otherwise it must not.
        virtual: Whether outliers that are made of the training images will do.
        trained: If the first weights must be those of a finished run: what else would do.
        heads: The least number of heads.
        unlabelled: Splits of the run that `batch.unlabelled` is drawn from, in equal parts.
        never_tested: Roles of images that must be no test images, whatever a user allows: that the
            training can do without them is its point. The artefact says so, `evaluate` heeds it.
    """

    outliers: bool = False
    virtual: bool = False
    trained: str = ""
    heads: int = 1
    unlabelled: tuple[str, ...] = ()
    never_tested: tuple[str, ...] = ()

    @property
    def folders(self) -> set[str]:
        """Which of `outliers` and `unlabelled` the user must give, if none are made."""
        return {*(["outliers"] if self.outliers else []), *self.unlabelled} - {"training"}


@dataclass(frozen=True)
class Measured:
    """What an objective found out about the weights that it starts from.

    Attributes:
        parameters: Values that replace those of the same name; the run directory keeps them.
        note: A sentence for the user.
    """

    parameters: Mapping[str, float]
    note: str


@dataclass(frozen=True)
class Objective:
    """One training method.

    Attributes:
        name: How the command line calls it.
        losses: `losses(model, batch, **parameters)` yields one scalar per optimiser step.
        source: Paper and equation.
        needs: `needs(**parameters)` says what it asks for; InputError if they contradict.
        measure: `measure(mean, **parameters)`, called once before the first step; None where all
            parameters are known from the start. InputError if training makes no sense then.
        energy_bounds: Names of two parameters in nats: the energy below which a training image
            costs nothing more, and that above which an outlier does not; none by default. Those
            that nobody gave are measured where `needs.trained` says so.
        head_factor: `head_factor(**parameters)`: what turns the weights of the linear heads, not
            their biases, from what the steps train into what is exported. The saved run is an
            ordinary network with the product in it. Validation, measurements and energies are of
            that network, before the last step, too, and weights to start from are divided first.
        unfit_heads: Score heads that should not decide, for they read what the training leaves to
            itself; an export that lets one decide says so.
    """

    name: str
    losses: Callable[..., Iterator[Tensor]]
    source: str
    needs: Callable[..., Needs] = lambda **parameters: Needs()
    measure: Callable[..., Measured] | None = None
    energy_bounds: tuple[str, str] | None = None
    head_factor: Callable[..., float] = lambda **parameters: 1.0
    unfit_heads: tuple[str, ...] = ()


def bind_objective(objective: str | Spec) -> Spec:
    """The objective's name with all its parameters, given or default, converted to their types.

    Args:
        objective: For example `outlier-exposure:weight=0.5`, or the same already parsed.

    Raises:
        UnknownNameError: If the objective or a parameter does not exist; the hint has the closest.
        InputError: If a parameter has the wrong type.
    """
    spec = parse_spec(objective) if isinstance(objective, str) else objective
    found: Objective = OBJECTIVES.get(spec.name)
    return Spec(found.name, bind_parameters(found.losses, spec.parameters, owner=found.name))


def needs_of(objective: str | Spec) -> Needs:
    """What an objective with these parameters asks for.

    Raises:
        UnknownNameError: If the objective or a parameter does not exist; the hint has the closest.
        InputError: If a parameter has the wrong type, or parameters contradict each other.
    """
    spec = bind_objective(objective)
    found: Objective = OBJECTIVES.get(spec.name)
    return found.needs(**spec.parameters)


def head_factor_of(objective: str | Spec) -> float:
    """What the heads' weights are multiplied by when training has ended, see `Objective`.

    Raises:
        UnknownNameError: If the objective or a parameter does not exist; the hint has the closest.
        InputError: If a parameter has the wrong type.
    """
    spec = bind_objective(objective)
    found: Objective = OBJECTIVES.get(spec.name)
    return found.head_factor(**spec.parameters)


def example_with(role: str | None) -> str:
    """The objective that uses images in this role and asks for least besides, for a hint.

    A parameter that has a list of values is given where its default makes no use of them.

    Args:
        role: `outliers` or `unlabelled`; None for an objective that needs neither.
    """
    fitting = []
    for spec in (variant for name in OBJECTIVES.names() for variant in _variants(name)):
        with contextlib.suppress(InputError):  # a value that wants another parameter beside it
            needs = needs_of(spec)
            if role in needs.folders if role else not needs.folders:
                asked = len(needs.folders) + len(spec.parameters)
                fitting.append((needs.heads, bool(needs.trained), asked, str(spec)))
    return min(fitting)[-1]


def with_virtual_outliers() -> list[str]:
    """The objectives that can do with outliers made of training images."""
    return [name for name in OBJECTIVES.names() if needs_of(name).virtual]


def _variants(name: str) -> Iterator[Spec]:
    """An objective as it is by default, and with each value of each parameter that has a list."""
    yield Spec(name)
    for parameter in inspect.signature(OBJECTIVES.get(name).losses).parameters.values():
        if get_origin(parameter.annotation) is Literal:
            for value in get_args(parameter.annotation):
                yield Spec(name, {parameter.name: str(value)})


def logits_by_head(outputs: Outputs) -> Tensor:
    """Logits (N, heads, K): a mean over images and heads is then the mean of the heads' losses."""
    pair: Tensor | None = outputs.logits_pair
    logits: Tensor = outputs.logits
    return logits.unsqueeze(1) if pair is None else pair


def targets_of(batch: Batch, classes: int) -> Tensor:
    """What the heads should say of each image, float32 (N, K): a one for the label without more."""
    if batch.targets is not None:
        return batch.targets
    return functional.one_hot(batch.labels, classes).float()


def mixed(rows: Tensor, share: float, *, before_first: Tensor | None = None) -> Tensor:
    """`share * x + (1 - share) * x'`, where x' is the row before x.

    Args:
        rows: (N, ...), images or targets.
        share: In [0, 1].
        before_first: (...), what stands before the first row; None for the last one.
    """
    before = rows.roll(1, 0)
    if before_first is not None:
        before[0] = before_first
    return share * rows + (1 - share) * before


def classification_loss(logits: Tensor, batch: Batch) -> Tensor:
    """How far the heads are from what they should say of the images of a batch, in nats.

    Mean over images and heads of `logsumexp_k z_k - z_y`, or where there are targets t of
    `sum_k t_k (logsumexp_j z_j - z_k)`.

    Args:
        logits: (N, heads, K), of the images alone.
        batch: Its labels and targets count.
    """
    if batch.targets is not None:
        return -(batch.targets.unsqueeze(1) * logits.log_softmax(-1)).sum(-1).mean()
    rows = batch.labels.unsqueeze(1).expand(logits.shape[:2])
    return functional.cross_entropy(logits.flatten(0, 1), rows.flatten())
