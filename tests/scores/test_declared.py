"""What is done with the declarations of heads: defaults, parameters with a meaning, layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from edge_ood.scores import (
    DEFAULT_COMBINED,
    DEFAULT_HEADS,
    DEFAULT_PRIMARY,
    HEADS,
    BoundHead,
    Outputs,
    ScoreHead,
    Step,
    bind_head,
    fitting_heads,
    heads_where,
    perturbs,
)

LAYERS = {"early": np.array([[1.0, 2.0], [3.0, 5.0]]), "late": np.array([[7.0], [11.0]])}
OUTPUTS = Outputs(np.zeros((2, 3)), features=LAYERS)


def total(xp: Any, outputs: Outputs, statistics: Mapping[str, Any], **parameters: Any) -> Any:
    """The sum of all features, each layer's times its weight."""
    return sum(
        xp.sum(features, axis=1) * statistics.get(f"{layer}/weight", 1)
        for layer, features in outputs.features.items()
    )


def losses(xp: Any, outputs: Outputs, statistics: Any, **parameters: Any) -> dict[str, Any]:
    """By layer, minus its first feature."""
    return {f"features/{layer}": -array[:, 0] for layer, array in outputs.features.items()}


LAYERED = ScoreHead(
    "total", ("features",), total, "-", perturbation=losses, layer_weights="weights"
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("logits",), ["gen", "msp"]),
        (("logits", "features"), ["gen", "mahalanobis", "msp", "nci"]),
        (("logits", "logits_pair", "features/early", "features/late"), list(DEFAULT_HEADS)),
    ],
)
def test_default_heads_are_those_that_are_given_what_they_read(
    given: tuple[str, ...], expected: list[str]
) -> None:
    """By names of fields, or of the classifier's outputs."""
    assert expected == [spec.name for spec in fitting_heads(DEFAULT_HEADS, given)]


def test_heads_that_perturb_are_no_default() -> None:
    """Without `--scores` an artefact has the closed-form heads alone: one pass, not three."""
    assert [] == [name for name in DEFAULT_HEADS if bind_head(name).epsilon]
    assert "odin" not in DEFAULT_HEADS
    assert {"gen", "mahalanobis", "mcd_l1", "msp"} <= set(DEFAULT_HEADS)


def test_the_default_that_decides_reads_what_every_classifier_gives() -> None:
    """Whatever the network, the head behind `is_ood` is there."""
    assert DEFAULT_PRIMARY in [spec.name for spec in fitting_heads(DEFAULT_HEADS, ["logits"])]


def test_what_is_combined_by_default_is_there_by_default() -> None:
    """Its members are default heads, in their order, and the one that decides alone is one."""
    assert [name for name in DEFAULT_HEADS if name in DEFAULT_COMBINED] == list(DEFAULT_COMBINED)
    assert DEFAULT_PRIMARY in DEFAULT_COMBINED


def test_a_head_that_perturbs_knows_its_step() -> None:
    """The step is the parameter `epsilon`, and 0 where a head has no gradient."""
    specs = ("odin", "odin:epsilon=0.2", "mahalanobis")

    assert [0.0014, 0.2, 0.0] == [bind_head(spec).epsilon for spec in specs]
    assert 0.0 == bind_head("energy").epsilon
    assert 0.3 == bind_head("odin").with_epsilon(0.3).epsilon


@pytest.mark.parametrize(
    ("spec", "expected"), [("odin", True), ("odin:epsilon=0", False), ("energy", False)]
)
def test_the_metadata_tell_who_perturbs(spec: str, expected: bool) -> None:
    """Of a file there are names and parameters alone."""
    assert expected == perturbs(bind_head(spec).parameters)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("odin", Step(0.0014)),
        ("odin:clip=true", Step(0.0014, clip=True)),
        ("odin:pixels=one,epsilon=0.2", Step(0.2, alone=True)),
        ("mahalanobis:epsilon=0.01", Step(0.01)),
        ("energy", Step(0.0)),
    ],
)
def test_how_an_image_is_moved_is_a_matter_of_parameters(spec: str, expected: Step) -> None:
    """`epsilon`, `clip` and `pixels`, and not at all where a head has none."""
    assert expected == bind_head(spec).step


@pytest.mark.parametrize(
    ("spec", "expected"), [("mahalanobis:weights=fgsm", "fgsm"), ("energy", None)]
)
def test_a_head_says_what_its_layers_are_weighted_by(spec: str, expected: str | None) -> None:
    """The parameter that it declares, and none where layers have no weights."""
    assert expected == bind_head(spec).weights_source


def test_examples_are_the_heads_of_which_something_holds() -> None:
    """With default parameters, in the order of their names."""
    found = heads_where(lambda head: "features" in head.inputs)

    assert [name for name in HEADS.names() if "features" in HEADS.get(name).inputs] == found
    assert "mahalanobis" in found


@pytest.mark.parametrize(("layer", "expected"), [("early", [3.0, 8.0]), ("late", [7.0, 11.0])])
def test_a_layer_alone_has_its_own_score_and_loss(layer: str, expected: list[float]) -> None:
    """Without a weight, and moved by no other layer's loss."""
    weighted = BoundHead(LAYERED, {"epsilon": 0.1}).with_weights({layer: np.array(9.0)})

    alone = weighted.of_layer(layer)

    assert expected == list(alone.score(np, OUTPUTS))
    assert [f"features/{layer}"] == list(alone.losses(np, OUTPUTS))
    assert 0.1 == alone.epsilon


def test_weights_of_layers_reach_the_formula() -> None:
    """Under the names that a formula looks for."""
    weights = {"early": np.array(2.0), "late": np.array(-1.0)}

    weighted = BoundHead(LAYERED, {}).with_weights(weights)

    assert [2 * 3.0 - 7, 2 * 8.0 - 11] == list(weighted.score(np, OUTPUTS))


def test_nothing_is_told_of_what_was_not_fitted() -> None:
    """A head without a summary has an empty one, and one without a fit no accumulator."""
    assert {} == bind_head("energy").summary
    assert bind_head("energy").accumulator(3) is None
