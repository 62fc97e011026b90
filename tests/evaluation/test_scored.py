"""Running sets of files and of synthetic images through an artefact."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from scipy.special import softmax

from edge_ood.artifact.metadata import store_metadata
from edge_ood.artifact.outputs import Scores
from edge_ood.errors import DataError
from edge_ood.evaluation.scored import Scored, score
from edge_ood.images.folders import ImageSet, read_images
from edge_ood.runtime.scorer import Scorer


class Counting:
    """Frames that count upwards in red."""

    paths = ()

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def batches(self, size, on_image):
        """All frames, batch by batch."""
        for start in range(0, self.count, size):
            frames = np.zeros((min(size, self.count - start), 16, 16, 3), np.uint8)
            frames[..., 0] = np.arange(start, start + len(frames))[:, None, None]
            for _ in frames:
                on_image()
            yield frames


def test_synthetic_images_keep_their_order(colour_artifact):
    """Made batch by batch and scored side by side, as if scored in one array."""
    scorer, frames, ticks = Scorer(colour_artifact, provider="cpu", threads=1), Counting(50), []
    (everything,) = frames.batches(50, lambda: None)
    expected = scorer.score_arrays(everything, batch_size=4)

    found = score(scorer, frames, batch_size=4, on_image=lambda: ticks.append(1))

    for head in scorer.heads:
        np.testing.assert_allclose(found.scores[head], expected.scores[head], rtol=1e-6)
        np.testing.assert_array_equal(found.decisions[head], expected.decisions[head])
    assert ("#0", "#49", 50) == (found.names[0], found.names[-1], len(ticks))


def test_files_bear_the_paths_of_score_tables(colour_artifact, colours, monkeypatch):
    """Relative paths begin with a dot, and the confidence is that of the logits."""
    monkeypatch.chdir(colours)
    scorer = Scorer(colour_artifact, provider="cpu")
    images = read_images(Path("test"))

    found = score(scorer, images, batch_size=8)

    logits = scorer.score_files(images.paths).logits.astype(float)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert all(name.startswith("./test/") for name in found.names)
    np.testing.assert_allclose(found.confidence, shares.max(axis=1) / shares.sum(axis=1))


def test_probabilities_have_the_temperature_of_the_file(colour_artifact, colours, tmp_path):
    """SciPy's softmax of the logits over it; without one they are as they are."""
    scorer = Scorer(colour_artifact, provider="cpu")
    images = read_images(colours / "test")
    logits = scorer.score_files(images.paths).logits.astype(float)
    plain = score(scorer, images, batch_size=8)
    model = onnx.load(colour_artifact)
    store_metadata(model, replace(scorer.metadata, temperature=2.5))
    onnx.save(model, tmp_path / "x.onnx")

    found = score(Scorer(tmp_path / "x.onnx", provider="cpu"), images, batch_size=8)

    np.testing.assert_allclose(softmax(logits / 2.5, axis=1).max(axis=1), found.confidence)
    np.testing.assert_allclose(softmax(logits, axis=1).max(axis=1), found.confidence_before)
    np.testing.assert_array_equal(found.confidence_before, plain.confidence)
    assert plain.confidence_before is None
    np.testing.assert_array_equal(plain.label_index, found.label_index)


def test_a_synthetic_image_whose_score_is_not_finite_is_named():
    """By its index; the number of such images stands with it."""

    def run(frames, *, batch_size):
        values = frames[:, 0, 0, 0].astype(np.float32)
        values[values >= 5] = np.nan
        by_head = {"energy": values}
        return Scores((), values, values, values, values[:, None], by_head, by_head, by_head)

    scorer = SimpleNamespace(provider="cpu", score_arrays=run)

    with pytest.raises(DataError, match=r"score 'energy' of '#5' is nan, .* \(2 of 7 images\)"):
        score(scorer, Counting(7), batch_size=3)


def test_an_unreadable_file_is_named(colour_artifact, tmp_path):
    """A file that is no image ends the evaluation with its name."""
    (tmp_path / "broken.png").write_text("none")

    with pytest.raises(DataError, match=r"broken\.png"):
        score(Scorer(colour_artifact), ImageSet((tmp_path / "broken.png",)), batch_size=8)


SCORED = Scored(
    names=("a", "b", "c", "d"),
    classes=("ant", "bee"),
    label_index=np.array([0, 1, 1, 0]),
    confidence=np.full(4, 0.75),
    scores={"energy": np.float32([0.5, 2, 0.5, -1])},
    pvalues={"energy": np.float32([0.5, 0.01, 0.5, 1])},
    decisions={"energy": np.array([False, True, False, False])},
)


@pytest.mark.parametrize(("largest", "order"), [(True, "bac"), (False, "dac")])
def test_examples_are_the_extremes(largest, order):
    """The most extreme first, ties in the order of the files, as many as asked for."""
    assert list(order) == [e.path for e in SCORED.examples("energy", 3, largest=largest)]
    assert 4 == len(SCORED.examples("energy", 12, largest=largest))


def test_many_ties_stay_in_the_order_of_the_files():
    """More equal scores than a sort of few numbers has."""
    n = 1000
    many = Scored(
        names=range(n),
        classes=("ant",),
        label_index=np.zeros(n, np.int64),
        confidence=np.ones(n),
        scores={"energy": np.arange(n, dtype=np.float32) % 3},
        pvalues={"energy": np.ones(n, np.float32)},
        decisions={"energy": np.zeros(n, np.bool_)},
    )

    assert list(range(2, 36, 3)) == [e.path for e in many.examples("energy", 12, largest=True)]


def test_an_example_says_what_the_head_says():
    """Score, p-value, label, decision, and the true label where it is known."""
    labelled = replace(SCORED, labels=np.array([0, 0, 1, 1]))
    (shown,) = labelled.examples("energy", 1, largest=True)
    (unknown,) = SCORED.examples("energy", 1, largest=True)

    assert ("b", 2.0, pytest.approx(0.01), "bee", True, "ant") == tuple(vars(shown).values())
    assert "" == unknown.true_label
