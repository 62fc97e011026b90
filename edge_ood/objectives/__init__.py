"""Training objectives: generators of losses, one per file.

An objective yields one loss per optimiser step and does its own forward passes; the training loop
knows none by name. Its file ends with `OBJECTIVE = Objective(...)`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from edge_ood.registry import Registry, Spec, bind_parameters, parse_spec
from edge_ood.scores import Outputs

__all__ = ["OBJECTIVES", "Batch", "Model", "Objective", "bind_objective", "logits_by_head"]

Model = Callable[[Tensor], Outputs]
"""Normalised images (N, 3, S, S) to outputs of tensors."""

OBJECTIVES = Registry("edge_ood.objectives", kind="objective", attribute="OBJECTIVE", separator="-")


@dataclass(frozen=True)
class Batch:
    """What one training step may use.

    Attributes:
        images: float32 (N, 3, S, S), augmented and normalised.
        labels: int64 (N,).
        outliers: float32 (M, 3, S, S), or None when there are none.
    """

    images: Tensor
    labels: Tensor
    outliers: Tensor | None = None


@dataclass(frozen=True)
class Objective:
    """One training method.

    Attributes:
        name: How the command line calls it.
        losses: `losses(model, batch, **parameters)` yields one scalar per optimiser step.
        needs_outliers: Whether `batch.outliers` must be there; otherwise it must not.
        source: Paper and equation.
    """

    name: str
    losses: Callable[..., Iterator[Tensor]]
    needs_outliers: bool
    source: str


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


def logits_by_head(outputs: Outputs) -> Tensor:
    """Logits (N, heads, K): a mean over images and heads is then the mean of the heads' losses."""
    pair: Tensor | None = outputs.logits_pair
    logits: Tensor = outputs.logits
    return logits.unsqueeze(1) if pair is None else pair
