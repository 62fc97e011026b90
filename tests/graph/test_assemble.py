"""The artefact's graph: contract, versions, and independence of the classifier's names."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge_ood.calibration.decision import fit_decision
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.errors import ExportError
from edge_ood.graph.assemble import assemble, assemble_reader
from edge_ood.graph.decision import with_decision
from edge_ood.graph.network import PREPROCESSED
from edge_ood.images.preprocess import Preprocess
from edge_ood.scores import HEADS, BoundHead

SIZE = 8
CLASSES = 3
WEIGHTS = np.random.default_rng(0).normal(size=(3, CLASSES)).astype(np.float32)
HEADS_USED = [BoundHead(HEADS.get(name), {}) for name in ("msp", "energy", "uniform_ce")]
PREPROCESS = Preprocess(SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))


@pytest.fixture
def classifier() -> onnx.ModelProto:
    """Channel means times a matrix, with names that the contract uses, too."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["label"]),
        helper.make_node("Flatten", ["label"], ["is_ood"]),
        helper.make_node("MatMul", ["is_ood", "knots"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "clashing",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(WEIGHTS, "knots")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(model: onnx.ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def images_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)


def test_outputs_have_the_names_order_and_types_of_the_contract(
    classifier: onnx.ModelProto,
) -> None:
    """The contract of DESIGN 5: label, decision, p-value, logits, then three per head."""
    model = assemble(classifier, PREPROCESS, HEADS_USED, primary="energy")

    found = [(o.name, o.type.tensor_type.elem_type) for o in model.graph.output]

    per_head = [
        (f"{head}{end}", kind)
        for head in ("msp", "energy", "uniform_ce")
        for end, kind in (
            ("", TensorProto.FLOAT),
            ("_pvalue", TensorProto.FLOAT),
            ("_is_ood", TensorProto.BOOL),
        )
    ]
    common = [
        ("label", TensorProto.INT64),
        ("is_ood", TensorProto.BOOL),
        ("pvalue", TensorProto.FLOAT),
        ("logits", TensorProto.FLOAT),
    ]
    assert common + per_head == found


def test_versions_are_those_that_old_runtimes_load(classifier: onnx.ModelProto) -> None:
    """Opset 18, IR 8, default domain only."""
    model = assemble(classifier, PREPROCESS, HEADS_USED, primary="energy")

    assert 8 == model.ir_version
    assert [("", 18)] == [(o.domain, o.version) for o in model.opset_import]
    assert {""} == {node.domain for node in model.graph.node}


def test_names_inside_the_classifier_do_not_collide(classifier: onnx.ModelProto) -> None:
    """A classifier whose tensors are called like the contract's outputs still works."""
    images = images_of(4, SIZE, SIZE)
    expected = PREPROCESS.normalise(images).mean(axis=(2, 3)) @ WEIGHTS

    found = run(assemble(classifier, PREPROCESS, HEADS_USED, primary="energy"), images)

    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["label"], expected.argmax(axis=1))


def test_feature_maps_declare_the_symbol_of_the_batch(classifier: onnx.ModelProto) -> None:
    """Where it can tell that two batches are equal, onnxruntime keeps its fast layout."""
    heads = [BoundHead(HEADS.get("odin"), {"temperature": 1000.0, "epsilon": 0.01, "clip": False})]
    model = assemble(classifier, PREPROCESS, heads, primary="odin")
    sizes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }

    (step,) = [
        node for node in model.graph.node if PREPROCESSED in node.input and node.op_type == "Sub"
    ]

    assert ["N", 3, SIZE, SIZE] == sizes[PREPROCESSED] == sizes[step.output[0]]


def test_assembling_leaves_the_classifier_as_it_was(classifier: onnx.ModelProto) -> None:
    """The caller's model is not edited."""
    before = classifier.SerializeToString()

    assemble(classifier, PREPROCESS, HEADS_USED, primary="energy")

    assert before == classifier.SerializeToString()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop", [1.0, 0.8])
@pytest.mark.parametrize("resize", ["center-crop", "stretch"])
@pytest.mark.parametrize(
    "shape",
    [(8, 8), (10, 10), (31, 17), (17, 40), (11, 16), (11, 12), (5, 5), (1, 1), (3, 200), (190, 2)],
)
def test_resizing_in_the_graph_is_within_a_grey_level_of_pillow(
    classifier: onnx.ModelProto,
    shape: tuple[int, int],
    resize: str,
    crop: float,
    interpolation: str,
) -> None:
    """Crop, antialiased resize, rounding and clipping follow Pillow, at any frame size."""
    preprocess = Preprocess(
        SIZE, (0, 0, 0), (1, 1, 1), resize, crop=crop, interpolation=interpolation
    )
    images = images_of(2, *shape)
    expected = np.stack([_pillow(image, preprocess) for image in images]).transpose(0, 3, 1, 2)
    model = assemble_reader(classifier, preprocess)
    model.graph.output.append(onnx.ValueInfoProto(name=PREPROCESSED))

    levels = run(model, images)[PREPROCESSED] * 255

    difference = np.abs(levels - expected)
    # Bicubic overshoots, which are clipped between the passes; Pillow stretches some upright frames
    # with the vertical pass first.
    ties = {"bilinear": 0, "bicubic": 0.03 if resize == "stretch" else 0.01}[interpolation]
    assert (difference > 1.001).mean() <= ties
    assert difference.max() <= 2.001
    if shape == (round(SIZE / crop),) * 2:
        assert difference.max() < 1e-4


def test_primary_head_is_what_pvalue_and_is_ood_repeat(classifier: onnx.ModelProto) -> None:
    """`pvalue` and `is_ood` are those of the primary head, here not the first."""
    model = assemble(classifier, PREPROCESS, HEADS_USED, primary="uniform_ce")
    scores = {h.name: np.arange(40) * s for h, s in zip(HEADS_USED, (1e-3, 1, -0.1), strict=True)}
    model = with_decision(
        model, fit_decision(scores, np.zeros(40, np.int64), 3, Guarantee()), primary="uniform_ce"
    )

    found = run(model, images_of(20, SIZE, SIZE))

    np.testing.assert_array_equal(found["uniform_ce_pvalue"], found["pvalue"])
    np.testing.assert_array_equal(found["uniform_ce_is_ood"], found["is_ood"])


@pytest.mark.parametrize(
    ("head", "reads"), [("mcd_l1", "logits_pair"), ("mahalanobis", "features")]
)
def test_a_head_without_its_input_is_refused(
    classifier: onnx.ModelProto, head: str, reads: str
) -> None:
    """The error names the head and what it reads."""
    with pytest.raises(ExportError, match=f"{head!r} reads {reads!r}"):
        assemble(classifier, PREPROCESS, [BoundHead(HEADS.get(head), {})], primary=head)


def _pillow(image: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """The square, resized; or the image, without the ends of a strip, resized, and its centre."""
    frame = Image.fromarray(image)
    side, short = round(SIZE / preprocess.crop), min(frame.size)
    size = [side, side]
    if preprocess.resize == "center-crop":
        longest = short if preprocess.crop == 1 else 16 * short
        frame = _middle(frame, [min(length, longest) for length in frame.size])
        size = [int(side * length / short) for length in frame.size]
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    resized = frame.resize(size, filters[preprocess.interpolation])
    left, top = (round((length - SIZE) / 2) for length in resized.size)
    return np.asarray(resized.crop((left, top, left + SIZE, top + SIZE)), np.float64)


def _middle(frame: Image.Image, size: list[int]) -> Image.Image:
    """So many pixels across and down, the odd one left out at the far side."""
    left, top = ((length - kept) // 2 for length, kept in zip(frame.size, size, strict=True))
    return frame.crop((left, top, left + size[0], top + size[1]))
