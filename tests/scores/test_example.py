"""The synthetic last layer: one that a network could have, and that every head can be fitted to."""

import numpy as np
import pytest

from edge_ood.errors import CalibrationError
from edge_ood.registry import parse_spec
from edge_ood.scores import HEADS, bind_head
from edge_ood.scores._example import ExampleLayer, fit_to_example, passes


@pytest.fixture(scope="module")
def layer() -> ExampleLayer:
    """Narrow, for speed, and wide enough for every head."""
    return ExampleLayer(num_classes=5, width=192)


def test_it_is_the_last_layer_of_its_features(layer: ExampleLayer) -> None:
    """Logits are `h W^T + b` and the mean of two halves that differ; features are never negative.

    Most images are of the class that the logits say.
    """
    outputs, labels = layer.outputs(0, 200)

    (features,) = outputs.features.values()
    expected = [
        [sum(h * w for h, w in zip(row, weights, strict=True)) for weights in layer.linear.weight]
        for row in features[:3]
    ]
    np.testing.assert_allclose(expected, outputs.logits[:3], rtol=1e-9)
    np.testing.assert_allclose(outputs.logits, outputs.logits_pair.mean(axis=1), rtol=1e-9)
    assert (200, 2, 5) == outputs.logits_pair.shape
    assert np.ptp(outputs.logits_pair, axis=1).min() > 0
    assert features.min() == 0
    assert (outputs.logits.argmax(axis=1) == labels).mean() > 0.95


def test_there_are_images_enough_for_any_size() -> None:
    """A covariance of D features within K classes takes D + K images, a bank as many as it has."""
    for num_classes, width in ((10, 512), (1000, 2048), (2, 4096)):
        layer = ExampleLayer(num_classes, width)
        assert layer.num_rows > max(5000, num_classes + width)
    layer = ExampleLayer(2, 3)
    assert layer.num_rows == sum(len(labels) for _, labels in layer.training())


def test_every_head_can_be_fitted(layer: ExampleLayer) -> None:
    """Whatever it needs, so that its cost can be measured; heads without statistics stay."""
    heads = [bind_head(name) for name in HEADS.names()]

    fitted, refused = fit_to_example(heads, layer)

    assert {} == refused
    assert HEADS.names() == [head.name for head in fitted]
    assert [bool(head.head.fit) for head in heads] == [bool(head.statistics) for head in fitted]


def test_a_head_that_cannot_be_fitted_is_named_with_the_reason() -> None:
    """The others are there all the same."""
    heads = [bind_head(name) for name in ("ash", "energy")]

    fitted, refused = fit_to_example(heads, ExampleLayer(3, 4))

    assert ["energy"] == [head.name for head in fitted]
    assert ["ash"] == list(refused)
    assert "of 4 features" in refused["ash"]


@pytest.mark.parametrize("name", HEADS.names())
def test_a_head_without_a_step_takes_one_pass(name: str) -> None:
    """One with a step takes two, as it reads one output of the moved image."""
    head = bind_head(name)

    assert (2 if head.epsilon else 1) == passes(head)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("odin", 2), ("odin:epsilon=0", 1), ("mahalanobis", 1), ("mahalanobis:epsilon=0.01", 2)],
)
def test_a_step_takes_a_second_pass(
    layer: ExampleLayer, monkeypatch: pytest.MonkeyPatch, spec: str, expected: int
) -> None:
    """By parameters, whether or not statistics are fitted."""
    monkeypatch.setattr("edge_ood.scores._example.ExampleLayer", lambda: layer)
    (fitted,), _ = fit_to_example([bind_head(parse_spec(spec))], layer)

    assert expected == passes(fitted, layer)
    assert expected == passes(bind_head(parse_spec(spec)))


def test_a_head_that_refuses_has_no_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names it."""
    refusal = ((), {"mahalanobis": "no such features"})
    monkeypatch.setattr("edge_ood.scores._example.fit_to_example", lambda heads, layer: refusal)

    with pytest.raises(CalibrationError, match="'mahalanobis': no such features"):
        passes(bind_head("mahalanobis:epsilon=0.01"))
