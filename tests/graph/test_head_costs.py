"""What scores cost: bytes of real files with some of them and with none, shared parts included."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper

from edge_ood.calibration.guarantee import Guarantee
from edge_ood.errors import ArtifactError
from edge_ood.graph.assemble import assemble
from edge_ood.graph.head_costs import added_bytes, variants
from edge_ood.graph.simplify import prune
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import bind_parameters
from edge_ood.scores import HEADS, BoundHead

FRAME = 4000
"""Bytes of a head's nodes, of its decision and of the names in both."""

FEATURES, CLASSES = 6, 3
RANK = 20_000  # no such matrix is fitted: it is there to be counted
STATISTICS = {
    "pool/centre": np.zeros(FEATURES),
    "pool/whitening": np.random.default_rng(0).normal(size=(FEATURES, RANK)),
    "pool/means": np.random.default_rng(1).normal(size=(CLASSES, RANK)),
}
SCORES = ("energy", "mahalanobis", "odin", "combined")


def head(name: str) -> BoundHead:
    """A head with its defaults, and statistics for the hand-made network."""
    found = HEADS.get(name)
    bound = bind_parameters(found.score, {}, owner=name)
    return BoundHead(found, bound, STATISTICS if found.fit else {})


@pytest.fixture
def model(colour_classifier: ModelProto) -> ModelProto:
    """An artefact's graph: a cheap head, a fitted one, one that perturbs, and two combined."""
    together = Guarantee(combined=True, combined_of=("energy", "mahalanobis"))
    heads = [head(name) for name in SCORES[:-1]]
    return assemble(
        colour_classifier, Preprocess(16), heads, primary="combined", guarantee=together
    )


def file_sizes(model: ModelProto, folder: Path) -> Mapping[tuple[str, ...], int]:
    """Bytes of a file each."""
    sizes = {}
    for number, (names, each) in enumerate(variants(model, SCORES)):
        path = folder / f"{number}.onnx"
        onnx.save(each, path)
        sizes[names] = path.stat().st_size
    return sizes


def test_each_score_is_alone_once_between_none_and_all(model: ModelProto) -> None:
    """In the order of the outputs."""
    expected = [(), *((score,) for score in SCORES), SCORES]

    assert expected == [names for names, _ in variants(model, SCORES)]


def test_one_score_is_all_there_are(colour_classifier: ModelProto) -> None:
    """It is not measured twice."""
    model = assemble(colour_classifier, Preprocess(16), [head("energy")], primary="energy")

    assert [(), ("energy",)] == [names for names, _ in variants(model, ["energy"])]
    assert [("energy",)] == list(added_bytes(model, ["energy"]))


def test_what_is_left_computes_the_same(colour_artifact: Path) -> None:
    """Label, logits and a score alone, with its decision and no other, are as in the whole file."""
    model = onnx.load(colour_artifact)
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)

    def outputs(each: ModelProto) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(each.SerializeToString())
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {"images": frames}), strict=True))

    scores = ("energy", "msp", "uniform_ce")
    whole = outputs(model)

    for names, each in variants(model, scores):
        found = outputs(each)
        decided = [f"{name}{end}" for name in names for end in ("", "_pvalue", "_is_ood")]
        last = ["pvalue", "is_ood"] if names else []
        assert {"label", "logits", *decided, *last} == found.keys()
        for name in ("label", "logits", *decided):
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-6)


def test_bytes_are_those_of_files(model: ModelProto, tmp_path: Path) -> None:
    """To the few that a longer length takes."""
    sizes = file_sizes(model, tmp_path)

    added = added_bytes(model, SCORES)

    assert list(sizes)[1:] == list(added)
    for names, size in added.items():
        assert size == pytest.approx(sizes[names] - sizes[()], abs=8)


def test_metadata_do_not_count(model: ModelProto) -> None:
    """They grow with the images of a training, and not with what is computed."""
    before = added_bytes(model, SCORES)
    model.metadata_props.add(key="edge_ood", value="x" * 100_000)

    assert before == added_bytes(model, SCORES)


def test_a_fitted_head_adds_its_arrays(model: ModelProto) -> None:
    """By arithmetic: a whitening of 6 x 20,000 numbers, and 3 means of 20,000."""
    arrays = 4 * RANK * (FEATURES + CLASSES)

    assert arrays < added_bytes(model, SCORES)["mahalanobis",] < arrays + FRAME


def test_a_gradient_adds_turned_weights_and_a_second_pass(
    model: ModelProto, colour_classifier: ModelProto
) -> None:
    """Weights that both passes read are the network's."""
    (weights,) = [
        numpy_helper.to_array(t).nbytes
        for t in colour_classifier.graph.initializer
        if t.name == "weights"
    ]
    added = added_bytes(model, SCORES)

    assert weights < added["odin",] < weights + 10 * FRAME
    assert added["energy",] < FRAME


def test_combined_brings_what_it_is_made_of(model: ModelProto) -> None:
    """So the sum of all alone exceeds what all add together, by two heads that are shared."""
    added = added_bytes(model, SCORES)

    members = added["energy",] + added["mahalanobis",]
    assert added["combined",] == pytest.approx(members, abs=FRAME)
    alone = sum(added[score,] for score in SCORES)
    assert alone - added[SCORES] == pytest.approx(members, abs=2 * FRAME)


def test_the_model_stays_as_it_is(model: ModelProto) -> None:
    """Nothing of the weights is lost."""
    before = model.SerializeToString(deterministic=True)

    added_bytes(model, SCORES)

    assert before == model.SerializeToString(deterministic=True)


def test_a_graph_without_a_decision_is_refused(model: ModelProto) -> None:
    """It is no artefact."""
    scores = ("energy", "mahalanobis")

    with pytest.raises(ArtifactError, match="no thresholds"):
        added_bytes(prune(model, ["label", "logits", *scores]), scores)
