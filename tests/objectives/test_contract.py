"""What every objective keeps, found through the registry."""

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from edge_ood.errors import UnknownNameError
from edge_ood.models import Classifier, build_classifier
from edge_ood.objectives import (
    OBJECTIVES,
    Batch,
    Objective,
    bind_objective,
    example_with,
    needs_of,
)
from edge_ood.scores import HEADS, Outputs

CLASSES = 3
STEPS = 15
BFLOAT16 = 0.1  # 8 bits of mantissa through ten layers

objectives = pytest.mark.parametrize("name", OBJECTIVES.names())
objectives_by_heads = pytest.mark.parametrize(
    ("name", "heads"),
    [
        (name, heads)
        for name in OBJECTIVES.names()
        for heads in (1, 2)
        if heads >= needs_of(name).heads
    ],
)


def tiny_problem(objective: Objective, heads: int) -> tuple[Classifier, Batch]:
    """Classes that differ by brightness, and noise as outliers."""
    torch.manual_seed(0)
    labels = torch.arange(12) % CLASSES
    images = torch.randn(12, 3, 8, 8) * 0.1 + labels[:, None, None, None]
    outliers = torch.randn(12, 3, 8, 8) * 3
    needs = needs_of(objective.name)
    batch = Batch(
        images,
        labels,
        outliers if needs.outliers else None,
        prior=torch.full((CLASSES,), 1 / CLASSES),
        unlabelled=torch.cat([images, outliers]) if needs.unlabelled else None,
    )
    return build_classifier("wrn-10-1:dropout=0", CLASSES, heads=heads), batch


def losses_of(
    objective: Objective, model: Callable[..., Outputs], batch: Batch
) -> Iterator[torch.Tensor]:
    """The losses with default parameters; energies of -2 and -1 stand for measured ones."""
    parameters = bind_objective(objective.name).parameters
    if objective.measure:
        outputs = {
            split: Outputs(torch.full((1, CLASSES), -energy - math.log(CLASSES)))
            for split, energy in (("training", -2.0), ("outliers", -1.0))
        }
        found = objective.measure(
            lambda split, function: float(function(outputs[split]).mean()), **parameters
        )
        parameters = {**parameters, **found.parameters}
    return objective.losses(model, batch, **parameters)


def run_steps(
    objective: Objective, classifier: Classifier, batch: Batch, steps: int
) -> list[float]:
    """The sum of an objective's losses at every step of plain gradient descent."""
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.05)
    sums = []
    for _ in range(steps):
        values = []
        for loss in losses_of(objective, classifier, batch):
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            values.append(loss.item())
        sums.append(sum(values))
    return sums


@objectives
def test_the_object_bears_the_name_of_its_file(name: str) -> None:
    """The command line, the file and the object agree on the name."""
    assert name == OBJECTIVES.get(name).name


@objectives_by_heads
def test_every_loss_is_a_finite_scalar_with_a_gradient(name: str, heads: int) -> None:
    """Each yielded loss can be descended, and reaches every weight of trunk and heads."""
    objective = OBJECTIVES.get(name)
    classifier, batch = tiny_problem(objective, heads)
    count = 0

    for loss in losses_of(objective, classifier, batch):
        loss.backward()
        count += 1
        assert () == loss.shape
        assert loss.isfinite()

    assert count >= 1
    for parameter in classifier.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


@objectives_by_heads
def test_low_precision_gives_nearly_the_same_losses(name: str, heads: int) -> None:
    """Under bfloat16 autocast each loss is finite and close to that of float32."""
    objective = OBJECTIVES.get(name)
    classifier, batch = tiny_problem(objective, heads)

    def rounded(images: torch.Tensor, **options: object) -> Outputs:
        with torch.autocast("cpu", torch.bfloat16):
            return classifier(images, **options)

    exact = [loss.item() for loss in losses_of(objective, classifier, batch)]
    found = [loss.item() for loss in losses_of(objective, rounded, batch)]

    assert exact == pytest.approx(found, rel=BFLOAT16)


def losses_with(
    name: str, heads: int, labels: torch.Tensor, targets: torch.Tensor | None
) -> list[float]:
    """What an untrained network costs for these labels or targets."""
    classifier, batch = tiny_problem(OBJECTIVES.get(name), heads)
    batch = replace(batch, labels=labels, targets=targets)
    return [loss.item() for loss in losses_of(OBJECTIVES.get(name), classifier, batch)]


@objectives_by_heads
def test_targets_count_in_place_of_labels(name: str, heads: int) -> None:
    """A one for another class costs what that label does, and mixed targets a mixture of both."""
    labels = torch.arange(12) % CLASSES
    others = (labels + 1) % CLASSES
    own, other = (torch.eye(CLASSES)[rows] for rows in (labels, others))

    first, second = (losses_with(name, heads, rows, None) for rows in (labels, others))
    found = losses_with(name, heads, labels, other)
    mixed = losses_with(name, heads, labels, 0.3 * own + 0.7 * other)

    assert second == pytest.approx(found, rel=1e-5)
    expected = [0.3 * a + 0.7 * b for a, b in zip(first, second, strict=True)]
    assert expected == pytest.approx(mixed, rel=1e-5)
    assert first != pytest.approx(second, rel=1e-3)


@objectives_by_heads
def test_descending_the_losses_lowers_them(name: str, heads: int) -> None:
    """A few steps on a tiny problem make the losses smaller."""
    objective = OBJECTIVES.get(name)
    classifier, batch = tiny_problem(objective, heads)

    sums = run_steps(objective, classifier, batch, STEPS)

    assert sums[-1] < 0.9 * sums[0]


@objectives
def test_all_heads_learn(name: str) -> None:
    """With two heads, each gets a gradient of its own."""
    objective = OBJECTIVES.get(name)
    classifier, batch = tiny_problem(objective, 2)

    for loss in losses_of(objective, classifier, batch):
        loss.backward()

    for head in (0, 1):
        gradient = classifier.get_parameter(f"heads.linear.{head}.weight").grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


@objectives
def test_an_objective_names_its_source(name: str) -> None:
    """The docstring says which paper and equation is implemented."""
    assert "Source:" in str(inspect.getdoc(OBJECTIVES.get(name).losses))


@objectives
def test_parameters_have_defaults(name: str) -> None:
    """A name without parameters is complete."""
    losses: Callable[..., object] = OBJECTIVES.get(name).losses
    keyword_only = {
        p.name for p in inspect.signature(losses).parameters.values() if p.kind is p.KEYWORD_ONLY
    }

    assert keyword_only == set(bind_objective(name).parameters)


@objectives
def test_declarations_are_about_what_there_is(name: str) -> None:
    """Roles that are never tested on are asked for, bounds are parameters, heads exist."""
    needs, bounds = needs_of(name), OBJECTIVES.get(name).energy_bounds

    assert set(needs.never_tested) <= needs.folders
    assert set(bounds or ()) <= set(bind_objective(name).parameters)
    assert set(OBJECTIVES.get(name).unfit_heads) <= set(HEADS.names())


@pytest.mark.parametrize(("role", "folders"), [(None, 0), ("outliers", 1), ("unlabelled", 1)])
def test_an_example_uses_its_role_and_asks_for_little_else(role: str | None, folders: int) -> None:
    """No second role, no finished run; what a hint says can be typed."""
    needs = needs_of(example_with(role))

    assert folders == len(needs.folders)
    assert role is None or role in needs.folders
    assert not needs.trained


def test_an_example_is_a_name_alone_where_that_will_do() -> None:
    """Parameters are written only for what no objective does by default."""
    assert ":" not in example_with(None) + example_with("outliers")
    assert ":" in example_with("unlabelled")


def test_a_misspelt_objective_gets_the_closest() -> None:
    """An unknown objective is an error with the nearest known name."""
    with pytest.raises(UnknownNameError, match="unknown objective 'outlier-expsoure'") as caught:
        bind_objective("outlier-expsoure")

    assert "outlier-exposure" == caught.value.closest


def test_a_misspelt_parameter_gets_the_closest() -> None:
    """An unknown parameter is an error with the nearest one of that objective."""
    with pytest.raises(UnknownNameError, match="outlier-exposure 'wieght'") as caught:
        bind_objective("outlier-exposure:wieght=1")

    assert "weight" == caught.value.closest
