"""Fewer bits: closed forms of the arithmetic, what stays in float32, what tools leave behind."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_ood.artifact.device import this_device
from edge_ood.errors import ExportError
from edge_ood.graph.precision import INT8_TARGETS, float32_tail, quantised, with_float16
from edge_ood.graph.simplify import simplify
from edge_ood.onnx_session import open_session

FLOAT32_SUMS = 1e-5  # relative to values of order 1, added in another order
HALF_ULP = 2.0**-11  # relative: one rounding to float16
VNNI = INT8_TARGETS["vnni"]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    arrays: dict[str, np.ndarray],
    outputs: dict[str, list[object]],
    channels: int = 3,
) -> ModelProto:
    """A classifier of 4 px."""
    shape = ["N", channels, 4, 4]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.fixture(scope="module")
def classifier() -> ModelProto:
    """Conv, ReLU, global average, linear layer; the channels' weights differ in size."""
    generator = np.random.default_rng(0)
    scales = np.array([0.01, 0.1, 1, 10]).reshape(4, 1, 1, 1)
    arrays = {
        "weights": (generator.normal(size=(4, 3, 1, 1)) * scales).astype(np.float32),
        "linear": generator.normal(size=(4, 5)).astype(np.float32),
        "sides": np.array([2, 3]),
    }
    nodes = [
        helper.make_node("Conv", ["input", "weights"], ["maps"]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("ReduceMean", ["active", "sides"], ["features/pool"], keepdims=0),
        helper.make_node("MatMul", ["features/pool", "linear"], ["logits"]),
    ]
    return model_of(nodes, arrays, {"logits": ["N", 5], "features/pool": ["N", 4]})


needs_wide_sums = pytest.mark.skipif(
    this_device("cpu").saturates, reason="sums of 8-bit products saturate on this processor"
)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Network input (40, 3, 4, 4) that is not centred."""
    return np.random.default_rng(1).uniform(-1, 3, (40, 3, 4, 4)).astype(np.float32)


def weights_of(model: ModelProto) -> dict[str, np.ndarray]:
    """Initializers by name."""
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def run(model: ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    """All outputs, in onnxruntime."""
    session = open_session(model.SerializeToString(), provider="cpu", threads=1)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input": images}), strict=True))


def tail_types(model: ModelProto) -> list[str]:
    return [node.op_type for node in float32_tail(model)]


def rounded(values: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """The real numbers that 8 bits without sign make of these."""
    return (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale


def grid(values: np.ndarray) -> tuple[float, int]:
    """Scale and zero point of 256 steps over the range of the values, zero among them."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = np.float32((high - low) / 255)
    return float(scale), round(-low / float(scale))


@needs_wide_sums
def test_a_quantised_convolution_is_the_textbook_arithmetic(
    classifier: ModelProto, images: np.ndarray
) -> None:
    """Worked out by hand: weights per channel, symmetric; maps on 256 steps over their range."""
    weights = weights_of(classifier)["weights"][:, :, 0, 0].astype(np.float64)
    step = np.abs(weights).max(axis=1, keepdims=True) / 127
    coarse = np.rint(weights / step) * step
    maps = np.einsum("oc,nchw->nohw", weights, images)
    entering = rounded(images, *grid(images))
    leaving = rounded(np.einsum("oc,nchw->nohw", coarse, entering), *grid(maps))
    expected = np.maximum(leaving, 0).mean(axis=(2, 3))

    found = run(quantised(classifier, images, VNNI), images)

    # A sum that lies between two steps may be rounded to either: one of 16 pixels, one step.
    np.testing.assert_allclose(found["features/pool"], expected, atol=grid(maps)[0] / 16 + 1e-5)
    exact = found["features/pool"].astype(np.float64) @ weights_of(classifier)["linear"]
    np.testing.assert_allclose(found["logits"], exact, rtol=FLOAT32_SUMS, atol=FLOAT32_SUMS)


@pytest.mark.parametrize(
    "target",
    [pytest.param(name, marks=() if name == "avx2" else needs_wide_sums) for name in INT8_TARGETS],
)
def test_the_runtime_computes_what_the_graph_says(
    classifier: ModelProto, images: np.ndarray, target: str
) -> None:
    """ONNX's own evaluator, which knows no integer kernels, gives the same outputs."""
    model = quantised(classifier, images, INT8_TARGETS[target])
    newer = onnx.ModelProto()
    newer.CopyFrom(model)
    newer.opset_import[0].version = 19  # the evaluator begins there; the operators are the same
    reference = ReferenceEvaluator(newer).run(None, {"input": images})

    found = run(model, images)

    for expected, value in zip(reference, found.values(), strict=True):
        np.testing.assert_allclose(value, expected, atol=0.01 * float(np.abs(expected).max()))


@pytest.mark.parametrize(
    ("target", "largest", "zero"), [("vnni", 127, np.uint8), ("avx2", 64, np.uint8),
                                    ("arm", 127, np.int8)]
)  # fmt: skip
def test_targets_lay_integers_out_differently(
    classifier: ModelProto, images: np.ndarray, target: str, largest: int, zero: type
) -> None:
    """Weights in 8 bits or in 7, whose sums of two fit 16 bits; maps with a sign or without."""
    model = quantised(classifier, images, INT8_TARGETS[target])

    integers = next(a for a in weights_of(model).values() if a.dtype == np.int8 and a.ndim == 4)
    assert largest == np.abs(integers.astype(int)).max()
    assert (np.abs(integers.astype(int)).max(axis=(1, 2, 3)) == largest).all()
    zeros = {
        weights_of(model)[node.input[2]].dtype
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert {np.dtype(zero)} == zeros
    if target == "avx2":
        assert 2 * 255 * largest < 2**15 <= 2 * 255 * 127


def test_ranges_are_those_of_the_given_images(classifier: ModelProto, images: np.ndarray) -> None:
    """Images of twice the size make every step of the maps twice as long."""
    once, twice = (quantised(classifier, factor * images, VNNI) for factor in (1, 2))

    def steps(model: ModelProto) -> np.ndarray:
        nodes = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
        return np.array([weights_of(model)[node.input[1]] for node in nodes])

    np.testing.assert_allclose(steps(twice), 2 * steps(once), rtol=1e-6)


def test_all_batches_count(classifier: ModelProto, images: np.ndarray) -> None:
    """The one image with the largest pixels is seen wherever it stands."""
    loud = np.concatenate([images, 5 * images[:1]])

    first, last = (quantised(classifier, pixels, VNNI) for pixels in (loud, loud[::-1]))

    assert first.SerializeToString() == last.SerializeToString()


@pytest.mark.parametrize("precision", ["fp16", *INT8_TARGETS])
def test_inputs_outputs_and_versions_stay(
    classifier: ModelProto, images: np.ndarray, precision: str
) -> None:
    """The converted classifier fits where the other did: names, types, opset, IR version."""
    if precision == "fp16":
        model = with_float16(classifier)
    else:
        model = quantised(classifier, images, INT8_TARGETS[precision])

    onnx.checker.check_model(model, full_check=True)
    assert list(classifier.graph.input) == list(model.graph.input)
    assert list(classifier.graph.output) == list(model.graph.output)
    assert list(classifier.opset_import) == list(model.opset_import)
    assert classifier.ir_version == model.ir_version
    assert list(classifier.metadata_props) == list(model.metadata_props)
    assert classifier.producer_name == model.producer_name
    assert {""} == {node.domain for node in model.graph.node}
    assert np.array_equal(weights_of(classifier)["linear"], weights_of(model)["linear"])


def test_float16_rounds_weights_and_maps_once(classifier: ModelProto, images: np.ndarray) -> None:
    """The convolution has inputs and weights in float16; all after it is as exact as before."""
    weights = weights_of(classifier)["weights"][:, :, 0, 0].astype(np.float16)
    maps = np.einsum(
        "oc,nchw->nohw", weights.astype(float), images.astype(np.float16).astype(float)
    )
    expected = np.maximum(maps, 0).mean(axis=(2, 3))

    model = with_float16(classifier)
    found = run(model, images)

    sizes = np.abs(maps).max(axis=(2, 3))
    assert (np.abs(found["features/pool"] - expected) <= 2 * HALF_ULP * sizes).all()
    assert (np.abs(found["features/pool"] - run(classifier, images)["features/pool"]) > 0).any()
    linear = weights_of(classifier)["linear"]
    exact = found["features/pool"].astype(np.float64) @ linear
    np.testing.assert_allclose(found["logits"], exact, rtol=FLOAT32_SUMS, atol=FLOAT32_SUMS)


def test_float16_halves_the_backbone(classifier: ModelProto) -> None:
    """Weights before the tail are stored once, in two bytes a number."""
    weights = weights_of(with_float16(classifier))

    assert {"weights/float16", "linear", "sides"} == set(weights)
    assert np.float16 == weights["weights/float16"].dtype


def test_weights_beyond_float16_are_cut(images: np.ndarray) -> None:
    """No weight becomes infinite."""
    arrays = {"weights": np.full((2, 3, 1, 1), 1e6, np.float32), "sides": np.array([2, 3]),
              "linear": np.ones((2, 2), np.float32)}  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["input", "weights"], ["maps"]),
        helper.make_node("ReduceMean", ["maps", "sides"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "linear"], ["logits"]),
    ]

    model = with_float16(model_of(nodes, arrays, {"logits": ["N", 2]}))

    assert 65504 == weights_of(model)["weights/float16"].max()


def test_operators_that_know_no_float16_stay_in_float32(images: np.ndarray) -> None:
    """Resize has scales in float32, Cast says its own type: casts stand around both."""
    arrays = {
        "weights": np.random.default_rng(2).normal(size=(3, 3, 1, 1)).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "sides": np.array([2, 3]),
        "linear": np.eye(3, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "weights"], ["first"]),
        helper.make_node("Resize", ["first", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("Cast", ["large"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["cast", "weights"], ["second"]),
        helper.make_node("ReduceMean", ["second", "sides"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "linear"], ["logits"]),
    ]
    classifier = model_of(nodes, arrays, {"logits": ["N", 3]})

    model = with_float16(classifier)

    onnx.checker.check_model(model, full_check=True)
    expected, found = (run(m, images)["logits"] for m in (classifier, model))
    np.testing.assert_allclose(found, expected, atol=20 * HALF_ULP)


def test_integer_weights_are_never_folded(classifier: ModelProto, images: np.ndarray) -> None:
    """Simplifying a quantised classifier leaves its weights integers."""
    model = simplify(quantised(classifier, images, VNNI))

    assert any(a.dtype == np.int8 and a.ndim == 4 for a in weights_of(model).values())
    assert not any(a.dtype == np.float32 and a.ndim == 4 for a in weights_of(model).values())


def test_the_tail_is_what_no_backbone_layer_follows(classifier: ModelProto) -> None:
    """Pooling and the last layer, of two heads both; a later layer makes a backbone of them."""
    assert ["Relu", "ReduceMean", "MatMul"] == tail_types(classifier)
    two_heads, deeper = onnx.ModelProto(), onnx.ModelProto()
    for model in (two_heads, deeper):
        model.CopyFrom(classifier)
        model.graph.output.add(name="more")
    second = helper.make_node("MatMul", ["features/pool", "linear"], ["more"])
    two_heads.graph.node.append(second)
    deeper.graph.node.append(helper.make_node("Gemm", ["logits", "linear"], ["more"]))

    assert ["Relu", "ReduceMean", "MatMul", "MatMul"] == tail_types(two_heads)
    assert ["Gemm"] == tail_types(deeper)


def with_int8(model: ModelProto) -> ModelProto:
    return quantised(model, np.ones((1, 3, 4, 4), np.float32), VNNI)


@pytest.mark.parametrize("convert", [with_float16, with_int8])
def test_a_linear_classifier_has_nothing_to_convert(
    convert: Callable[[ModelProto], ModelProto],
) -> None:
    """A single layer is the tail itself."""
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("MatMul", ["flat", "linear"], ["logits"]),
    ]
    model = model_of(nodes, {"linear": np.ones((48, 2), np.float32)}, {"logits": ["N", 2]})

    with pytest.raises(ExportError, match="nothing to convert") as raised:
        convert(model)

    assert "fp32" in str(raised.value.hint)


def test_the_quantiser_leaves_no_word_and_no_file(
    classifier: ModelProto,
    images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its advice to use other tools, and its copies of the model, are not the user's business."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    quantised(classifier, images, VNNI)

    assert ("", "") == capfd.readouterr()
    assert [] == caplog.records
    assert [] == list(tmp_path.iterdir())
    assert logging.NOTSET == logging.root.manager.disable


def test_the_given_classifier_stays_as_it_is(classifier: ModelProto, images: np.ndarray) -> None:
    """Both conversions work on copies."""
    before = classifier.SerializeToString()

    quantised(classifier, images, VNNI)
    with_float16(classifier)

    assert before == classifier.SerializeToString()
