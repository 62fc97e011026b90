"""An artefact of scores alone: it says what the heads say of the synthetic last layer."""

import numpy as np
import onnxruntime
import pytest

from edge_ood.graph.example import assemble_example, example_rows
from edge_ood.scores import bind_head
from edge_ood.scores._example import ExampleLayer, fit_to_example

CLASSES, WIDTH = 4, 24


@pytest.fixture(scope="module")
def layer() -> ExampleLayer:
    """Small enough for loops."""
    return ExampleLayer(CLASSES, WIDTH)


def test_scores_are_those_of_the_layer(layer: ExampleLayer) -> None:
    """By hand: `1 - max p`, the distance of two heads' probabilities, and to rows of a bank."""
    heads, _ = fit_to_example([bind_head(n) for n in ("msp", "mcd_l1", "knn:k=1")], layer)
    outputs, labels = layer.outputs(0, 7)
    session = onnxruntime.InferenceSession(assemble_example(layer, heads).SerializeToString())

    names = ["label", "logits", "msp", "mcd_l1", "knn", "is_ood"]
    label, logits, msp, mcd_l1, knn, is_ood = session.run(names, {"images": example_rows(outputs)})

    assert labels.tolist() == label.tolist()
    np.testing.assert_allclose(outputs.logits, logits, rtol=1e-5)
    for row, pair in enumerate(outputs.logits_pair):
        first, second = (np.exp(z - z.max()) / np.exp(z - z.max()).sum() for z in pair)
        mean = np.exp(logits[row].astype(float))
        assert msp[row] == pytest.approx(1 - mean.max() / mean.sum(), abs=1e-6)
        # By this project's definition the sum over classes.
        assert mcd_l1[row] == pytest.approx(np.abs(first - second).sum(), abs=1e-6)
    (features,) = outputs.features.values()
    bank = heads[2].statistics["bank"]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    nearest = [min(np.linalg.norm(row - member) for member in bank) for row in unit]
    np.testing.assert_allclose(nearest, knn, atol=1e-3)
    assert (7,) == is_ood.shape


def test_the_table_of_pvalues_is_full(layer: ExampleLayer) -> None:
    """As after a calibration on thousands of images, so that it takes as many bytes."""
    model = assemble_example(layer, [bind_head("msp")])

    (knots,) = [t for t in model.graph.initializer if t.name == "knots"]
    assert [1, 1, 1023] == list(knots.dims)
