"""The decision in the graph: equal to its arrays to the bit, and replaced in files of any age."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_ood.artifact import FORMAT, METADATA_KEY
from edge_ood.calibrate import calibrate_artifact, undo_calibration
from edge_ood.calibration.decision import Decision, fit_decision
from edge_ood.calibration.guarantee import Changes, Guarantee
from edge_ood.calibration.threshold import Knots
from edge_ood.errors import ArtifactError
from edge_ood.graph.decision import keep_heads, read_decision, with_decision
from edge_ood.images import find_images
from edge_ood.runtime import Scorer

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
    """Scores from 0 to 255, ties included, and classes."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, [256, 256, CLASSES], (count, 1, 1, 3)).astype(np.uint8)


def by_head(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The scores that the graph makes of its input."""
    return {head: images[:, 0, 0, i].astype(np.float32) for i, head in enumerate(HEADS)}


def run(model: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def grouped(images: NDArray[np.uint8]) -> Decision:
    """Classes 1 and 3 on their own, with different numbers of knots, and the others together."""
    groups = np.array([0, 1, 0, 2])
    of_image = groups[images[:, 0, 0, 2]]
    fitted = []
    for group in range(3):
        chosen = {h: s[of_image == group][: 40 - 9 * group] for h, s in by_head(images).items()}
        fitted.append(fit_decision(chosen, CLASSES, Guarantee()))
    return Decision.of(
        {
            head: [Knots(f.knots[i, 0], f.pvalues[0], float(f.thresholds[i, 0])) for f in fitted]
            for i, head in enumerate(HEADS)
        },
        groups,
    )


@pytest.mark.parametrize("kind", ["average", "confidence", "many", "grouped"])
def test_the_graph_computes_what_the_arrays_say(scored: onnx.ModelProto, kind: str) -> None:
    """P-values and decisions to the bit, ties at knots included, for every kind of decision."""
    calibration = inputs(0, 3000 if kind == "many" else 200)
    guarantee = Guarantee(0.05, 0.95 if kind == "confidence" else 0)
    decision = (
        grouped(calibration)
        if kind == "grouped"
        else fit_decision(by_head(calibration), CLASSES, guarantee)
    )
    images = inputs(1)

    found = run(with_decision(scored, decision, primary="second"), images)

    for head, scores in by_head(images).items():
        labels = found["label"]
        assert decision.pvalue(head, scores, labels).tolist() == found[f"{head}_pvalue"].tolist()
        assert decision.is_ood(head, scores, labels).tolist() == found[f"{head}_is_ood"].tolist()
        assert 0 < found[f"{head}_is_ood"].sum() < len(images)
    assert found["second_pvalue"].tolist() == found["pvalue"].tolist()
    assert found["second_is_ood"].tolist() == found["is_ood"].tolist()


def test_each_group_of_classes_has_its_own_knots(scored: onnx.ModelProto) -> None:
    """Counted by hand: one plus the knots of the image's group that are reached, over n + 1."""
    decision, images = grouped(inputs(0, 200)), inputs(1)
    counts = [40, 31, 22]

    found = run(with_decision(scored, decision, primary="first"), images)

    for row, head in enumerate(HEADS):
        for score, label, pvalue in zip(
            by_head(images)[head], found["label"], found[f"{head}_pvalue"], strict=True
        ):
            group = [0, 1, 0, 2][label]
            knots = decision.knots[row, group][-counts[group] :]
            assert np.float32((1 + (knots >= score).sum()) / (counts[group] + 1)) == pvalue


@pytest.mark.parametrize("kind", ["average", "many", "grouped"])
def test_what_is_stored_is_read(scored: onnx.ModelProto, kind: str) -> None:
    """All arrays to the bit, and again after replacing another decision."""
    calibration = inputs(0, 3000 if kind == "many" else 200)
    expected = (
        grouped(calibration)
        if kind == "grouped"
        else fit_decision(by_head(calibration), CLASSES, Guarantee())
    )

    once = with_decision(scored, expected, primary="first")
    another = fit_decision(by_head(inputs(5)), CLASSES, Guarantee())
    other = with_decision(once, another, primary="second")
    again = with_decision(other, expected, primary="first")

    assert once.SerializeToString() == again.SerializeToString()
    found = read_decision(once, HEADS)
    for name in ("thresholds", "knots", "pvalues", "groups"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(found, name))


def test_kept_heads_have_their_rows(scored: onnx.ModelProto) -> None:
    """One of two heads, with thresholds and knots by group, says what it said."""
    whole, images = with_decision(scored, grouped(inputs(0, 200)), primary="second"), inputs(1)

    kept = run(keep_heads(whole, HEADS, ["second"], primary="second"), images)

    expected = run(whole, images)
    assert not {"first", "first_pvalue", "first_is_ood"} & set(kept)
    assert all(expected[name].tolist() == kept[name].tolist() for name in kept)


def test_a_graph_without_thresholds_is_no_artefact(scored: onnx.ModelProto) -> None:
    """Reading a decision from a plain ONNX file says so."""
    with pytest.raises(ArtifactError, match="no edge-ood artefact"):
        read_decision(scored, HEADS)


@pytest.mark.parametrize("name", ["thresholds", "knots", "pvalues"])
def test_damaged_arrays_are_no_crash(scored: onnx.ModelProto, name: str) -> None:
    """An initializer of another shape is an error in one line."""
    model = with_decision(scored, grouped(inputs(0, 200)), primary="second")
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.ones(7, np.float32), name))

    with pytest.raises(ArtifactError, match="the decision of the graph is damaged"):
        read_decision(model, HEADS)


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
