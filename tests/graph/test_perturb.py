"""The step inside the graph: its units, its sign, its limits, one for each loss."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge_ood.graph.assemble import assemble_scores
from edge_ood.graph.network import PREPROCESSED
from edge_ood.images.preprocess import Preprocess
from edge_ood.scores import BoundHead, Outputs, ScoreHead, Statistics, Step

SIZE = 2
STD = (0.2, 0.3, 0.25)
PREPROCESS = Preprocess(SIZE, mean=(0.4, 0.5, 0.6), std=STD)


def classifier(weights: np.ndarray) -> ModelProto:
    """Logits (N, K) are pixels (N, 12) times a matrix; one feature layer, its negative."""
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["input"], ["pixels"]),
            helper.make_node("MatMul", ["pixels", "weights"], ["logits"]),
            helper.make_node("Neg", ["logits"], ["features/negative"]),
        ],
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", weights.shape[1]]),
            helper.make_tensor_value_info(
                "features/negative", TensorProto.FLOAT, ["N", weights.shape[1]]
            ),
        ],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def first_logit(xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any) -> Any:
    """The score is a logit of the moved image."""
    return xp.sum(outputs.logits, axis=1)


def descend_logit(
    xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any
) -> dict[str, Any]:
    """So is the loss."""
    return {"logits": xp.sum(outputs.logits, axis=1)}


def head(
    epsilon: float, *, clip: bool = False, pixels: str = "all", loss: object = descend_logit
) -> BoundHead:
    score = ScoreHead("probe", ("logits",), first_logit, "-", perturbation=loss)  # type: ignore[arg-type]
    return BoundHead(score, {"epsilon": epsilon, "clip": clip, "pixels": pixels})


def run(model: ModelProto, images: np.ndarray, *names: str) -> Mapping[str, np.ndarray]:
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(exposed.SerializeToString())
    found = [output.name for output in session.get_outputs()]
    return dict(zip(found, session.run(found, {"images": images}), strict=True))


def moved_input(model: ModelProto) -> str:
    """The tensor that enters the second pass."""
    flattens = [node for node in model.graph.node if "classifier/pixels" in node.output[0]]
    (name,) = {node.input[0] for node in flattens} - {PREPROCESSED}
    return name


def steps(
    weights: np.ndarray, images: np.ndarray, *, bound: BoundHead | None = None, **options: object
) -> np.ndarray:
    """How far each pixel (N, 3, 2, 2) was moved, in raw [0, 1] units."""
    chosen = bound or head(**options)  # type: ignore[arg-type]
    model = assemble_scores(classifier(weights), PREPROCESS, [chosen])
    name = moved_input(model)
    found = run(model, images, PREPROCESSED, name)
    difference: np.ndarray = found[name] - found[PREPROCESSED]
    return difference * np.array(STD).reshape(3, 1, 1)


def frames(count: int = 3, low: int = 40, high: int = 200) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (count, SIZE, SIZE, 3)).astype(np.uint8)


def test_the_step_is_measured_in_pixel_units() -> None:
    """Every pixel of every channel moves by epsilon of the pixel range, whatever the std is."""
    weights = np.random.default_rng(1).normal(size=(12, 2))
    slope = weights.sum(axis=1).reshape(3, SIZE, SIZE)
    expected = -0.01 * np.sign(slope) * np.ones((3, 1, 1, 1))

    np.testing.assert_allclose(steps(weights, frames(), epsilon=0.01), expected, rtol=1e-4)


def test_a_gradient_of_zero_counts_as_positive() -> None:
    """Pixels that move no loss are lowered, as in the paper's code."""
    weights = np.zeros((12, 2))
    weights[0] = -1

    found = steps(weights, frames(), epsilon=0.01).reshape(3, 12)

    np.testing.assert_allclose(found[:, 0], 0.01, rtol=1e-4)
    np.testing.assert_allclose(found[:, 1:], -0.01, rtol=1e-4)


def test_one_pixel_moves_by_as_much() -> None:
    """Of each image the value whose derivative by the normalised input is largest in size."""
    weights = np.random.default_rng(1).normal(size=(12, 2))
    slopes = weights.sum(axis=1)
    expected = np.zeros((3, 12))
    steepest = np.abs(slopes).argmax()
    expected[:, steepest] = -0.01 * np.sign(slopes[steepest])

    found = steps(weights, frames(), epsilon=0.01, pixels="one").reshape(3, 12)

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_a_head_may_declare_a_step_of_its_own() -> None:
    """In normalised units, of a quarter of the values: those whose derivatives are smallest."""
    weights = np.random.default_rng(1).normal(size=(12, 2))
    slopes = weights.sum(axis=1)
    flattest = np.argsort(np.abs(slopes))[:3]
    expected = np.zeros((3, 12))
    expected[:, flattest] = -0.5 * np.sign(slopes[flattest])
    expected = expected.reshape(3, 3, SIZE, SIZE) * np.array(STD).reshape(3, 1, 1)

    score = replace(head(0.5).head, step=lambda **_: Step(0.5, flattest=0.25, normalised=True))
    found = steps(weights, frames(), bound=BoundHead(score, {"epsilon": 0.5}))

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_a_score_may_look_at_both_passes() -> None:
    """The outputs before the step are beside those after it."""
    weights = np.random.default_rng(2).normal(size=(12, 1))
    fall = 0.01 * np.abs(weights.reshape(3, -1)).sum(axis=1) @ (1 / np.array(STD))

    def difference(xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any) -> Any:
        assert outputs.still is not None
        return xp.sum(outputs.still.logits - outputs.logits, axis=1)

    both = replace(head(0.01).head, score=difference)
    model = assemble_scores(classifier(weights), PREPROCESS, [BoundHead(both, {"epsilon": 0.01})])

    np.testing.assert_allclose(run(model, frames())["probe"], [fall] * 3, rtol=1e-3)


@pytest.mark.parametrize(("clip", "expected"), [(True, 0.0), (False, -0.25)])
def test_clipping_is_an_option(clip: bool, expected: float) -> None:
    """A black pixel stays at 0 with `clip`, and goes below it without."""
    black = np.zeros((2, SIZE, SIZE, 3), np.uint8)

    found = steps(np.ones((12, 2)), black, epsilon=0.25, clip=clip)

    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_clipping_at_white() -> None:
    """A pixel at 1 is not brightened, one at 0.8 goes to 1 at most, others move freely."""
    levels = np.array([255, 204, 102, 0], np.uint8).reshape(1, SIZE, SIZE, 1).repeat(3, axis=3)

    found = steps(-np.ones((12, 2)), levels, epsilon=0.25, clip=True)

    expected = np.array([0, 0.2, 0.25, 0.25]).reshape(SIZE, SIZE)
    np.testing.assert_allclose(found[0], [expected] * 3, atol=1e-6)


def test_each_loss_has_its_own_step() -> None:
    """Two outputs read after steps in opposite directions: neither sees the other's image."""
    weights = np.random.default_rng(2).normal(size=(12, 1))
    fall = 0.01 * np.abs(weights.reshape(3, -1)).sum(axis=1) @ (1 / np.array(STD))

    def losses(
        xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any
    ) -> dict[str, Any]:
        return {
            "logits": xp.sum(outputs.logits, axis=1),
            "features/negative": xp.sum(outputs.features["negative"], axis=1),
        }

    def both(xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any) -> Any:
        return xp.sum(outputs.logits + 100 * outputs.features["negative"], axis=1)

    bound = BoundHead(
        ScoreHead("probe", ("logits",), both, "-", perturbation=losses), {"epsilon": 0.01}
    )
    found = run(assemble_scores(classifier(weights), PREPROCESS, [bound]), frames())
    logits = PREPROCESS.normalise(frames()).reshape(3, 12) @ weights

    expected = (logits[:, 0] - fall) + 100 * (-logits[:, 0] - fall)
    np.testing.assert_allclose(found["probe"], expected, rtol=1e-4)


def test_no_step_is_the_closed_form() -> None:
    """With epsilon 0 the graph has one pass and no gradient."""
    weights = np.ones((12, 2))
    without = ScoreHead("probe", ("logits",), first_logit, "-")

    found = assemble_scores(classifier(weights), PREPROCESS, [head(0.0)])
    expected = assemble_scores(classifier(weights), PREPROCESS, [BoundHead(without, {})])

    assert expected.SerializeToString() == found.SerializeToString()


def test_heads_share_the_first_pass() -> None:
    """Two heads that perturb need three passes, not four."""
    second = ScoreHead("second", ("logits",), first_logit, "-", perturbation=descend_logit)
    heads = [head(0.01), BoundHead(second, {"epsilon": 0.02})]

    model = assemble_scores(classifier(np.ones((12, 2))), PREPROCESS, heads)

    assert 3 == sum(node.op_type == "Flatten" for node in model.graph.node)


def test_outputs_that_are_not_perturbed_are_those_of_the_first_pass() -> None:
    """A head that reads features and moves only logits gets features of the image as it is."""

    def features(xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any) -> Any:
        return xp.sum(outputs.features["negative"], axis=1)

    weights = np.random.default_rng(3).normal(size=(12, 2))
    bound = BoundHead(
        ScoreHead("probe", ("logits", "features"), features, "-", perturbation=descend_logit),
        {"epsilon": 0.01},
    )

    found = run(assemble_scores(classifier(weights), PREPROCESS, [bound]), frames())

    expected = -(PREPROCESS.normalise(frames()).reshape(3, 12) @ weights).sum(axis=1)
    np.testing.assert_allclose(found["probe"], expected, rtol=1e-5)
