"""The decision in the graph: equal to its arrays to the bit, and replaced in files of any age."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.stats import combine_pvalues

from edge_ood.artifact.metadata import FORMAT, METADATA_KEY
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.decision import Decision, fit_combined, fit_decision
from edge_ood.calibration.guarantee import Changes, Guarantee
from edge_ood.errors import ArtifactError
from edge_ood.graph.decision import keep_heads, read_decision, with_decision
from edge_ood.images.folders import find_images
from edge_ood.runtime.calibrate import calibrate_artifact, undo_calibration
from edge_ood.runtime.scorer import Scorer

HEADS = ("first", "second")
CLASSES = 4
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def scored() -> onnx.ModelProto:
    """Scores and label straight from the input (N, 1, 1, 3): two scores and the class."""
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "columns"], ["table"]),
        helper.make_node("Split", ["table"], ["a", "b", "class"], axis=1, num_outputs=3),
        helper.make_node("Reshape", ["a", "row"], ["first"]),
        helper.make_node("Reshape", ["b", "row"], ["second"]),
        helper.make_node("Reshape", ["class", "row"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["label"], to=TensorProto.INT64),
        helper.make_node("OneHot", ["label", "classes", "values"], ["logits"]),
    ]
    outputs = {"label": TensorProto.INT64, "logits": TensorProto.FLOAT}
    graph = helper.make_graph(
        nodes,
        "scores",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 1, 1, 3])],
        [
            helper.make_tensor_value_info(name, kind, ["N", CLASSES][: 1 + (name == "logits")])
            for name, kind in (outputs | dict.fromkeys(HEADS, TensorProto.FLOAT)).items()
        ],
        [
            numpy_helper.from_array(np.array([-1, 3]), "columns"),
            numpy_helper.from_array(np.array([-1]), "row"),
            numpy_helper.from_array(np.array(CLASSES), "classes"),
            numpy_helper.from_array(np.array([0, 1], np.float32), "values"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def inputs(seed: int, count: int = 300) -> NDArray[np.uint8]:
    """Scores from 0 to 255, ties included, and classes, of which the last is rare."""
    generator = np.random.default_rng(seed)
    classes = generator.choice(CLASSES, count, p=[0.4, 0.3, 0.26, 0.04])
    columns = [*generator.integers(0, 256, (2, count)), classes]
    return np.stack(columns, axis=1).reshape(count, 1, 1, 3).astype(np.uint8)


def by_head(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The scores that the graph makes of its input."""
    return {head: images[:, 0, 0, i].astype(np.float32) for i, head in enumerate(HEADS)}


def run(model: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def fitted(images: NDArray[np.uint8], guarantee: Guarantee) -> Decision:
    """The decision of images as calibration would find it, of which every second is in a half."""
    labels = images[:, 0, 0, 2].astype(np.int64)
    decision = fit_decision(by_head(images), labels, CLASSES, guarantee)
    if not guarantee.combined:
        return decision
    first_half = np.arange(len(images)) % 2 == 0
    return fit_combined(decision, by_head(images), labels, first_half, guarantee)


KINDS = {
    "average": (200, Guarantee()),
    "confidence": (200, Guarantee(confidence=0.95)),
    "many": (3000, Guarantee()),
    "per class": (400, Guarantee(per_class=True)),
    "combined": (200, Guarantee(combined=True)),
    "largest": (200, Guarantee(combined=True, combined_rule="largest")),
    "members": (200, Guarantee(combined=True, combined_of=("second", "first"))),
    "all": (400, Guarantee(0.1, 0.9, per_class=True, combined=True)),
}


@pytest.fixture(params=KINDS, ids=lambda kind: kind)
def decision(request: pytest.FixtureRequest) -> Decision:
    """A decision of every kind."""
    count, guarantee = KINDS[request.param]
    return fitted(inputs(0, count), guarantee)


def test_the_graph_computes_what_the_arrays_say(
    scored: onnx.ModelProto, decision: Decision
) -> None:
    """Scores, p-values and decisions to the bit, ties at knots included."""
    images = inputs(1)

    found = run(with_decision(scored, decision, primary="second"), images)

    labels = found["label"]
    scores = by_head(images)
    if decision.combined:
        scores[COMBINED] = decision.combined.combination.score(scores)
    assert tuple(scores) == decision.outputs
    for head, expected in scores.items():
        assert expected.tolist() == found[head].tolist()
        assert decision.pvalue(head, expected, labels).tolist() == found[f"{head}_pvalue"].tolist()
        assert decision.is_ood(head, expected, labels).tolist() == found[f"{head}_is_ood"].tolist()
        assert 0 < found[f"{head}_is_ood"].sum() < len(images)
    assert found["second_pvalue"].tolist() == found["pvalue"].tolist()
    assert found["second_is_ood"].tolist() == found["is_ood"].tolist()


def test_each_class_is_held_against_its_own_images(scored: onnx.ModelProto) -> None:
    """Counted by hand: one plus the knots of the class that are reached, over n + 1."""
    calibration, images = inputs(0, 300), inputs(1)
    labels = calibration[:, 0, 0, 2]
    model = with_decision(scored, fitted(calibration, Guarantee(per_class=True)), primary="first")

    found = run(model, images)

    assert (labels == 3).sum() < 19 < (labels == 2).sum()
    for head, scores in by_head(calibration).items():
        for score, label, pvalue in zip(
            by_head(images)[head], found["label"], found[f"{head}_pvalue"], strict=True
        ):
            own = scores if label == 3 else scores[labels == label]
            assert np.float32((1 + (own >= score).sum()) / (len(own) + 1)) == pvalue


@pytest.mark.parametrize("rule", ["sum", "largest"])
def test_the_combined_score_is_made_of_pvalues(scored: onnx.ModelProto, rule: str) -> None:
    """Within the scores of the first half: Fisher's statistic by SciPy, or the smaller p-value."""
    calibration, images = inputs(0, 200), inputs(1)
    guarantee = Guarantee(combined=True, combined_rule=rule)
    model = with_decision(scored, fitted(calibration, guarantee), primary="first")

    found = run(model, images)

    first = by_head(calibration[::2])
    within = np.all([by_head(images)[head] <= first[head].max() for head in HEADS], axis=0)
    pvalues = [
        (1 + (first[head] >= by_head(images)[head][:, None]).sum(axis=1)) / 101 for head in HEADS
    ]
    fisher = combine_pvalues(np.array(pvalues), method="fisher", axis=0).statistic / 2
    expected = fisher if rule == "sum" else -np.log(np.min(pvalues, axis=0))
    np.testing.assert_allclose(found[COMBINED][within], expected[within], rtol=1e-6)
    beyond = found[COMBINED][~within]
    assert (beyond >= (expected[~within] if rule == "sum" else np.log(101))).all()


def test_a_score_that_is_not_finite_flags_the_combined_one(scored: onnx.ModelProto) -> None:
    """NaN in one head is NaN in the combined score, whatever the others say."""
    broken = onnx.ModelProto()
    broken.CopyFrom(scored)
    node = next(n for n in broken.graph.node if "first" in n.output)
    node.output[0] = "whole"
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    broken.graph.initializer.append(zero)
    # 0 / 0 is NaN, anything else over 0 infinite
    broken.graph.node.append(helper.make_node("Div", ["whole", "zero"], ["first"]))
    model = with_decision(
        broken, fitted(inputs(0, 200), Guarantee(combined=True)), primary=COMBINED
    )
    images = inputs(1, 4)
    images[0, ..., 0] = 0

    found = run(model, images)

    assert np.isnan(found[COMBINED]).all()
    assert found["is_ood"].all()
    assert {found["pvalue"].min()} == set(found["pvalue"])


def test_what_is_stored_is_read(scored: onnx.ModelProto, decision: Decision) -> None:
    """All arrays to the bit, and again after replacing another decision."""
    once = with_decision(scored, decision, primary="first")
    other = with_decision(once, fitted(inputs(5), Guarantee()), primary="second")
    again = with_decision(other, decision, primary="first")

    assert once.SerializeToString() == again.SerializeToString()
    found = read_decision(once, decision.outputs).to_arrays()
    for name, expected in decision.to_arrays().items():
        np.testing.assert_array_equal(expected, found[name])


@pytest.mark.parametrize("kept", [["second"], ["second", COMBINED], [COMBINED], HEADS], ids=str)
def test_kept_heads_say_what_they_said(scored: onnx.ModelProto, kept: list[str]) -> None:
    """Some of the scores, with thresholds and knots by class; `combined` without its parts, too."""
    guarantee = Guarantee(per_class=True, combined=True)
    whole = with_decision(scored, fitted(inputs(0, 600), guarantee), primary=kept[-1])
    images = inputs(1)

    pruned = keep_heads(whole, [*HEADS, COMBINED], kept, primary=kept[-1])

    expected, found = run(whole, images), run(pruned, images)
    assert {*kept} == {*HEADS, COMBINED} & set(found)
    assert all(expected[name].tolist() == found[name].tolist() for name in found)


def test_knots_per_class_are_bounded() -> None:
    """A thousand classes have 64 knots each, one or two groups as many as ever."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(1000), 80)
    scores = {"first": generator.random(len(labels)).astype(np.float32)}

    many = fit_decision(scores, labels, 1000, Guarantee(per_class=True))
    two = fit_decision(scores, labels // 500, 2, Guarantee(per_class=True))

    assert (1, 1000, 64) == many.table.knots.shape
    assert (1, 2, 1024) == two.table.knots.shape
    queries, classes = many.table.knots[0, :, 40], np.arange(1000)
    decided = many.is_ood("first", queries, classes)
    assert (many.pvalue("first", queries, classes) <= np.float32(0.05)).tolist() == decided.tolist()


def test_a_graph_without_thresholds_is_no_artefact(scored: onnx.ModelProto) -> None:
    """Reading a decision from a plain ONNX file says so."""
    with pytest.raises(ArtifactError, match="no edge-ood artefact"):
        read_decision(scored, HEADS)


@pytest.mark.parametrize(
    "name",
    [f"{part}{name}" for part in ("", "combined/") for name in ("thresholds", "knots", "pvalues")]
    + ["combined/map_knots"],
)
def test_damaged_arrays_are_no_crash(scored: onnx.ModelProto, name: str) -> None:
    """An initializer of another shape is an error in one line."""
    guarantee = Guarantee(per_class=True, combined=True)
    model = with_decision(scored, fitted(inputs(0, 600), guarantee), primary="second")
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.ones(7, np.float32), name))

    with pytest.raises(ArtifactError, match="the decision of the graph is damaged"):
        read_decision(model, [*HEADS, COMBINED])


def test_files_that_do_not_say_what_they_combine_combine_all(scored: onnx.ModelProto) -> None:
    """Those of earlier versions, by the largest surprise; written again, they say so."""
    guarantee = Guarantee(combined=True, combined_rule="largest")
    model = with_decision(scored, fitted(inputs(0, 200), guarantee), primary="second")
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["unnamed" if name == "combined/members" else name for name in names]

    found = read_decision(model, [*HEADS, COMBINED])

    assert found.combined is not None
    assert (HEADS, "largest") == (found.combined.combination.heads, found.combined.combination.rule)
    images = inputs(1)
    again = with_decision(model, found, primary="second")
    assert run(model, images)[COMBINED].tolist() == run(again, images)[COMBINED].tolist()


def test_a_combination_of_what_is_no_head_is_damage(scored: onnx.ModelProto) -> None:
    """The graph says what it combines; a file may say anything."""
    decision = fitted(inputs(0, 200), Guarantee(combined=True))
    model = with_decision(scored, decision, primary="second")
    next(n for n in model.graph.node if "combined/members" in n.output).input[0] = "logits"

    with pytest.raises(ArtifactError, match=r"the decision of the graph is damaged: .* logits"):
        read_decision(model, [*HEADS, COMBINED])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file of format 1, as the first version wrote it, calibrated twice."""
    return Path(shutil.copy(DATA / "format-1.onnx", tmp_path / "x.onnx"))


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    """What that version said of some frames, `now` and `before` the second calibration."""
    with np.load(DATA / "format-1.npz") as arrays:
        return dict(arrays)


def assert_as_recorded(scorer: Scorer, recorded: dict[str, np.ndarray], when: str) -> None:
    found = scorer.score_arrays(recorded["frames"])
    for head in scorer.heads:
        np.testing.assert_array_equal(recorded[f"{when}/{head}_pvalue"], found.pvalues[head])
        np.testing.assert_array_equal(recorded[f"{when}/{head}_is_ood"], found.decisions[head])


def test_a_file_of_format_1_says_what_it_said(old: Path, recorded: dict[str, np.ndarray]) -> None:
    """Whole, and pruned to some of its heads, which records its decision anew."""
    assert_as_recorded(Scorer(old, provider="cpu"), recorded, "now")
    assert_as_recorded(Scorer(old, provider="cpu", heads=["energy", "msp"]), recorded, "now")


def test_a_file_of_format_1_is_calibrated_and_undone(
    old: Path, recorded: dict[str, np.ndarray], colours: Path
) -> None:
    """With what that version did not know, and back over the history that it wrote."""
    known = [*find_images(colours / "calibration"), *find_images(colours / "test")]
    calibrate_artifact(old, known, changes=Changes(0.05, 0.95), provider="cpu")
    calibrated = Scorer(old, provider="cpu")
    (entry,) = [p for p in onnx.load(old).metadata_props if p.key == METADATA_KEY]

    assert Guarantee(0.05, 0.95) == calibrated.metadata.calibration.guarantee
    assert entry.value.startswith(f'{{"format": {FORMAT}, ')
    for when in ("now", "before"):
        undo_calibration(old)
        assert_as_recorded(Scorer(old, provider="cpu"), recorded, when)
