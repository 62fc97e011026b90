"""Training objectives: generators of losses, one per file.

An objective yields one loss per optimiser step and does its own forward passes; the training loop
knows none by name. Its file ends with `OBJECTIVE = Objective(...)`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional

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
    "cross_entropy_by_head",
    "logits_by_head",
    "needs_of",
]

Mean = Callable[[str, Callable[[Outputs], Tensor]], float]
"""`mean(split, function)`: mean of `function(outputs)` over the images of a split, as validated."""

OBJECTIVES = Registry("edge_ood.objectives", kind="objective", attribute="OBJECTIVE", separator="-")


class Model(Protocol):
    """The network in training."""

    def __call__(self, images: Tensor, *, detached_heads: Sequence[int] = ()) -> Outputs:
        """Outputs of normalised images (N, 3, S, S); each call is a forward pass of its own.

        No gradient reaches the trunk from the heads with the positions `detached_heads`.
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
    """

    images: Tensor
    labels: Tensor
    outliers: Tensor | None = None
    prior: Tensor | None = None
    unlabelled: Tensor | None = None


@dataclass(frozen=True)
class Needs:
    """What an objective asks for besides labelled images.

    Attributes:
        outliers: Whether `batch.outliers` must be there; otherwise it must not.
        trained: If the first weights must be those of a finished run: what else would do.
        heads: The least number of heads.
        unlabelled: Splits of the run that `batch.unlabelled` is drawn from, in equal parts.
    """

    outliers: bool = False
    trained: str = ""
    heads: int = 1
    unlabelled: tuple[str, ...] = ()

    @property
    def folders(self) -> set[str]:
        """Which of `outliers` and `unlabelled` the user must give."""
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
    """

    name: str
    losses: Callable[..., Iterator[Tensor]]
    source: str
    needs: Callable[..., Needs] = lambda **parameters: Needs()
    measure: Callable[..., Measured] | None = None


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


def logits_by_head(outputs: Outputs) -> Tensor:
    """Logits (N, heads, K): a mean over images and heads is then the mean of the heads' losses."""
    pair: Tensor | None = outputs.logits_pair
    logits: Tensor = outputs.logits
    return logits.unsqueeze(1) if pair is None else pair


def cross_entropy_by_head(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over images and heads of `logsumexp_k z_k - z_y`, in nats.

    Args:
        logits: (N, heads, K).
        labels: int64 (N,).
    """
    rows = labels.unsqueeze(1).expand(logits.shape[:2])
    return functional.cross_entropy(logits.flatten(0, 1), rows.flatten())
