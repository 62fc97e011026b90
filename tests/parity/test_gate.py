"""The parity gate: lets a good file through, and names the output of every damaged one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_ood.attachment.attach import Unfinished, check_parity, steps_for
from edge_ood.attachment.request import Options, Request
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.errors import ExportError
from edge_ood.graph.network import PREPROCESSED
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.extremes import extremes
from edge_ood.registry import parse_specs
from edge_ood.torch_export.export import request_of
from edge_ood.training.run_directory import read_run

HEADS = ("gen", "mahalanobis", "mcd_l1", "msp", "nci")


@pytest.fixture(scope="module")
def draft(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Unfinished:
    """A calibrated file that is about to be verified."""
    options = Options(provider="cpu", guarantee=Guarantee(combined=True))
    request = request_of(read_run(run_path), options)
    return about_to_be_verified(request, tmp_path_factory.mktemp("draft"))


@pytest.fixture(scope="module", params=["fp16", "int8"])
def converted_draft(
    draft: Unfinished, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Unfinished:
    """The same classifier in fewer bits."""
    guarantee = Guarantee(combined=True)
    options = Options(provider="cpu", precision=request.param, guarantee=guarantee)
    asked = request_of(read_run(request.getfixturevalue("run_path")), options)
    return about_to_be_verified(asked, tmp_path_factory.mktemp("converted"))


@pytest.fixture(scope="module")
def gradient_draft(draft: Unfinished, tmp_path_factory: pytest.TempPathFactory) -> Unfinished:
    """The same classifier with heads that perturb, each by a step of its own."""
    scores = "energy,mahalanobis:epsilon=0.002,odin"
    options = Options(heads=parse_specs(scores), provider="cpu")
    request = replace(draft.request, options=options)
    return about_to_be_verified(request, tmp_path_factory.mktemp("gradient"))


@pytest.fixture(scope="module")
def one_pixel_draft(draft: Unfinished, tmp_path_factory: pytest.TempPathFactory) -> Unfinished:
    """The same classifier with a step so small that a score hardly moves."""
    options = Options(heads=parse_specs("odin:pixels=one"), primary="odin", provider="cpu")
    request = replace(draft.request, options=options)
    return about_to_be_verified(request, tmp_path_factory.mktemp("one-pixel"))


def about_to_be_verified(request: Request, folder: Path) -> Unfinished:
    """Everything up to the gate."""
    current = Unfinished(request, folder / "draft.onnx")
    for name, step in steps_for(request.options):
        if name == "verify":
            break
        current = step(current)
    return current


def flip_weight(model: onnx.ModelProto) -> None:
    """Change the sign of one output channel of the first convolution's weights."""
    name = next(n.input[1] for n in model.graph.node if n.op_type == "Conv")
    edit(model, name, lambda w: np.concatenate([-w[:1], w[1:]]))


def scale_mean(model: onnx.ModelProto) -> None:
    """Divide by what should be subtracted: mean and std change places."""
    subtract = node(model, "Sub", output_of="Cast")
    scale = next(n for n in model.graph.node if "preprocessed" in n.output)
    mean, factor = subtract.input[1], scale.input[1]
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    edit(model, mean, lambda _: 1 / arrays[factor])
    edit(model, factor, lambda _: 1 / arrays[mean])


def swap_channels(model: onnx.ModelProto) -> None:
    """Feed BGR where RGB belongs."""
    transpose = node(model, "Transpose", output_of="Resize")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "bgr"))
    swap = onnx.helper.make_node("Gather", [transpose.input[0], "bgr"], ["swapped"], axis=3)
    transpose.input[0] = "swapped"
    nodes = list(model.graph.node)
    nodes.insert(nodes.index(transpose), swap)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def drop_relu(model: onnx.ModelProto) -> None:
    """Turn the network's last ReLU into an identity."""
    found = [n for n in model.graph.node if n.op_type == "Relu"]
    relu = [n for n in found if n.output[0].startswith("classifier/")][-1]
    relu.op_type = "Identity"


def transpose_whitening(model: onnx.ModelProto) -> None:
    """Use the transposed whitening matrix."""
    sizes = {tuple(t.dims): t.name for t in model.graph.initializer if len(t.dims) == 2}
    matmul = next(
        n.input[1]
        for n in model.graph.node
        if n.op_type == "MatMul" and n.input[1] in sizes.values() and n.name.startswith("edge_ood")
    )
    edit(model, matmul, lambda w: w.T if w.shape[0] == w.shape[1] else w[::-1])


def scale_whitening(model: onnx.ModelProto) -> None:
    """Stretch a thousandth."""
    name = next(n.input[1] for n in model.graph.node if reads_features(model, n))
    edit(model, name, lambda w: w * np.float32(1.001))


def reads_features(model: onnx.ModelProto, product: onnx.NodeProto) -> bool:
    """Whether a node is the product of a head with features of length one, less their centre."""
    made_by = {o: n for n in model.graph.node for o in n.output}
    centred = made_by.get(product.input[0]) if product.op_type == "MatMul" else None
    divided = made_by.get(centred.input[0]) if centred is not None else None
    return divided is not None and "classifier/features/penultimate" in divided.input


def hot_softmax(model: onnx.ModelProto) -> None:
    """Divide logits by a temperature of 1.001, in msp alone."""
    score = next(n for n in model.graph.node if "msp" in n.output)
    exponential, seen = None, [score]
    while exponential is None:
        seen = [n for each in seen for n in model.graph.node if set(n.output) & set(each.input)]
        exponential = next((n for n in seen if n.op_type == "Exp"), None)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1.001), "temperature"))
    divide = onnx.helper.make_node("Div", [exponential.input[0], "temperature"], ["divided"])
    exponential.input[0] = "divided"
    nodes = list(model.graph.node)
    nodes.insert(nodes.index(exponential), divide)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def stale_threshold(model: onnx.ModelProto) -> None:
    """Keep another file's threshold for the second head."""
    edit(model, "thresholds", lambda t: t + np.array([[0], [1e-3], [0], [0], [0]], np.float32))


def stale_knots(model: onnx.ModelProto) -> None:
    """Keep another file's p-value knots for the first head."""
    edit(model, "knots", lambda k: np.concatenate([k[:1] * np.float32(1.01), k[1:]]))


def swap_decision(model: onnx.ModelProto) -> None:
    """Invert a head's decision."""
    node = next(n for n in model.graph.node if "msp_is_ood" in n.output)
    node.output[list(node.output).index("msp_is_ood")] = "right"
    model.graph.node.append(onnx.helper.make_node("Not", ["right"], ["msp_is_ood"]))


def coarse_resize(model: onnx.ModelProto) -> None:
    """Resize without antialiasing, as exporters' defaults do."""
    resize = next(n for n in model.graph.node if n.op_type == "Resize")
    for attribute in resize.attribute:
        if attribute.name in ("antialias", "exclude_outside"):
            attribute.i = 0


def edit(model: onnx.ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == name)
    changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor)))
    tensor.CopyFrom(numpy_helper.from_array(changed.astype(np.float32), name))


def keep_central_square(model: onnx.ModelProto) -> None:
    """Cut out the central square where a strip of sixteen squares would be left."""
    longest = next(n for n in model.graph.node if n.op_type == "Mul")
    (limit,) = [t for t in model.graph.initializer if t.name in longest.input]
    assert 16 == numpy_helper.to_array(limit)
    limit.CopyFrom(numpy_helper.from_array(np.array(1), limit.name))


def node(model: onnx.ModelProto, op_type: str, *, output_of: str) -> onnx.NodeProto:
    sources = {o: n.op_type for n in model.graph.node for o in n.output}
    return next(
        n for n in model.graph.node if n.op_type == op_type and sources.get(n.input[0]) == output_of
    )


def stale_combined_knots(model: onnx.ModelProto) -> None:
    """Keep another file's p-value knots for the combined score."""
    edit(model, "combined/knots", lambda k: k * np.float32(1.01))


def stale_maps(model: onnx.ModelProto) -> None:
    """Keep another file's p-values to combine."""
    edit(model, "combined/slopes", lambda slopes: slopes * np.float32(1.01))


def combine_by_the_mean(model: onnx.ModelProto) -> None:
    """Average where the sum is asked for."""
    next(n for n in model.graph.node if "combined" in n.output).op_type = "Mean"


DAMAGE = {
    stale_combined_knots: "'combined_pvalue'",
    stale_maps: "'combined': the file's maps",
    combine_by_the_mean: "in output 'combined'",
    flip_weight: "'features/penultimate'",
    scale_mean: "'preprocessed'",
    swap_channels: "'preprocessed'",
    drop_relu: "'features/penultimate'",
    transpose_whitening: "'mahalanobis'",
    scale_whitening: "'mahalanobis'",
    hot_softmax: "in output 'msp'",
    stale_threshold: "'mahalanobis_is_ood'",
    stale_knots: "'gen_pvalue'",
    swap_decision: "'msp_is_ood'",
    coarse_resize: "'preprocessed'",
}


def test_extremes_are_black_white_and_different_noises() -> None:
    """Float32's error on a single image is a matter of chance, so there are eight noises."""
    found = extremes(4)

    assert {(4, 4, 3)} == {image.shape for image in found.values()}
    assert (0, 255) == (found["black"].max(), found["white"].min())
    noises = [image.tobytes() for name, image in found.items() if name.startswith("noise")]
    assert 8 == len(set(noises))


def test_an_undamaged_file_passes(draft: Unfinished) -> None:
    """The gate lets the file through that the pipeline made."""
    report = check_parity(draft).parity

    assert report is not None
    assert all(difference.passed for difference in report.differences)
    checked = {difference.output for difference in report.differences}
    assert {"preprocessed", "features/penultimate", "logits", "logits_pair", "label"} <= checked
    scores = (*HEADS, "combined")
    assert {f"{head}{end}" for head in scores for end in ("", "_pvalue", "_is_ood")} <= checked


def with_damage(
    draft: Unfinished, damage: Callable[[onnx.ModelProto], None], path: Path
) -> Unfinished:
    """A draft whose written file is another one's, damaged."""
    model = onnx.load(draft.path)
    damage(model)
    onnx.save(model, path)
    return replace(draft, path=path)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_the_gate_names_what_is_damaged(
    damage: Callable[[onnx.ModelProto], None], draft: Unfinished, tmp_path: Path
) -> None:
    """One damage to the written file fails the gate, which names the output."""
    damaged = with_damage(draft, damage, tmp_path / "damaged.onnx")

    with pytest.raises(ExportError, match=DAMAGE[damage]):
        check_parity(damaged)


AROUND_THE_CLASSIFIER = [damage for damage in DAMAGE if damage not in (flip_weight, drop_relu)]


@pytest.mark.parametrize("damage", AROUND_THE_CLASSIFIER, ids=lambda damage: damage.__name__)
def test_around_a_converted_classifier_the_gate_is_as_strict(
    damage: Callable[[onnx.ModelProto], None], converted_draft: Unfinished, tmp_path: Path
) -> None:
    """Preprocessing, heads, thresholds and decisions are float32 and held to its limits."""
    damaged = with_damage(converted_draft, damage, tmp_path / "damaged.onnx")

    with pytest.raises(ExportError, match=DAMAGE[damage]):
        check_parity(damaged)


def test_the_gate_sees_when_frames_are_made_square_before_they_are_resized(
    draft: Unfinished, tmp_path: Path
) -> None:
    """With a crop share, what lies beyond the central square has a say in where the cut is."""
    seen = replace(draft.request.preprocess, crop=0.8)
    cut_last = about_to_be_verified(replace(draft.request, preprocess=seen), tmp_path)
    damaged = with_damage(cut_last, keep_central_square, tmp_path / "damaged.onnx")

    assert check_parity(cut_last).parity is not None
    with pytest.raises(ExportError, match="'preprocessed': resizing in the graph is up to"):
        check_parity(damaged)


def test_a_converted_classifier_is_taken_at_its_word(converted_draft: Unfinished) -> None:
    """The gate lets it through, and claims nothing about logits and features."""
    report = check_parity(converted_draft).parity

    assert report is not None
    checked = {difference.output for difference in report.differences}
    assert {"preprocessed", "label", *HEADS} <= checked
    assert checked.isdisjoint({"logits", "logits_pair", "features/penultimate"})
    assert all(difference.passed for difference in report.differences)


def test_a_failure_names_image_and_batch(draft: Unfinished, tmp_path: Path) -> None:
    """The message says on which image and at which batch size the file is off."""
    model = onnx.load(draft.path)
    flip_weight(model)
    damaged = tmp_path / "damaged.onnx"
    onnx.save(model, damaged)

    with pytest.raises(ExportError, match=r"for image '.+' at batch (1|2|7)"):
        check_parity(replace(draft, path=damaged))


def step_of(model: onnx.ModelProto, head: str) -> onnx.NodeProto:
    """The node that moves the image which a head's second pass starts from."""
    entering = {i for n in model.graph.node if n.name.startswith(f"{head}/") for i in n.input}
    (found,) = [n for n in model.graph.node if entering & set(n.output) and PREPROCESSED in n.input]
    return found


def step_forward(model: onnx.ModelProto, head: str) -> None:
    """Climb the loss instead of descending it."""
    step = step_of(model, head)
    assert "Sub" == step.op_type
    step.op_type = "Add"


def step_without_std(model: onnx.ModelProto, head: str) -> None:
    """Measure epsilon in units of the normalised input."""
    preprocess = Preprocess(8)
    signed = step_of(model, head).input[1]
    where = next(n for n in model.graph.node if signed in n.output)
    std = np.array(preprocess.std).reshape(1, 3, 1, 1)
    for name in where.input[1:]:
        edit(model, name, lambda step: step * std)


def first_pass(model: onnx.ModelProto, head: str) -> None:
    """Score the image as it is, though a second pass was made."""
    again = {o for n in model.graph.node if n.name.startswith(f"{head}/") for o in n.output}
    for node in model.graph.node:
        if not node.name.startswith(f"{head}/"):
            node.input[:] = [
                f"classifier/{i.split('classifier/')[1]}" if i in again else i for i in node.input
            ]


@pytest.mark.parametrize("head", ["mahalanobis", "odin"])
@pytest.mark.parametrize(
    "damage", [step_forward, step_without_std, first_pass], ids=lambda damage: damage.__name__
)
def test_the_gate_names_the_head_whose_step_is_damaged(
    damage: Callable[[onnx.ModelProto, str], None],
    head: str,
    gradient_draft: Unfinished,
    tmp_path: Path,
) -> None:
    """A wrong step, though tiny, fails the gate in the score of its head and in no other."""
    model = onnx.load(gradient_draft.path)
    damage(model, head)
    damaged = tmp_path / "damaged.onnx"
    onnx.save(model, damaged)

    with pytest.raises(ExportError, match=f"in output '{head}' for image") as raised:
        check_parity(replace(gradient_draft, path=damaged))

    others = {"energy", "mahalanobis", "odin"} - {head}
    assert not any(f"'{other}'" in str(raised.value) for other in others)


def another_pixel(model: onnx.ModelProto, head: str) -> None:
    """Move the value whose derivative is the smallest."""
    place = node(model, "ArgMax", output_of="Abs")
    place.op_type = "ArgMin"


@pytest.mark.parametrize(
    "damage", [step_forward, first_pass, another_pixel], ids=lambda damage: damage.__name__
)
def test_the_gate_sees_a_damaged_step_of_one_pixel(
    damage: Callable[[onnx.ModelProto, str], None], one_pixel_draft: Unfinished, tmp_path: Path
) -> None:
    """Of the scores' spread the whole step is a trifle; what it does is compared with itself."""
    assert check_parity(one_pixel_draft).parity is not None
    model = onnx.load(one_pixel_draft.path)
    damage(model, "odin")
    damaged = tmp_path / "damaged.onnx"
    onnx.save(model, damaged)

    with pytest.raises(ExportError, match="in output 'odin' for image"):
        check_parity(replace(one_pixel_draft, path=damaged))


def test_second_passes_in_float16_are_taken_at_their_word(
    gradient_draft: Unfinished, tmp_path: Path
) -> None:
    """The gate evaluates a head on its own second pass, and notices one that reads the first."""
    options = replace(gradient_draft.request.options, precision="fp16")
    asked = replace(gradient_draft.request, options=options)
    draft = about_to_be_verified(asked, tmp_path)
    report = check_parity(draft).parity
    assert report is not None
    assert all(difference.passed for difference in report.differences)

    model = onnx.load(draft.path)
    first_pass(model, "odin")
    onnx.save(model, draft.path)

    with pytest.raises(ExportError, match="in output 'odin' for image"):
        check_parity(draft)


def test_an_undamaged_file_with_steps_passes(gradient_draft: Unfinished) -> None:
    """Heads that perturb pass the gate as they were made."""
    report = check_parity(gradient_draft).parity

    assert report is not None
    assert {"mahalanobis", "odin"} <= {difference.output for difference in report.differences}
    assert all(difference.passed for difference in report.differences)
