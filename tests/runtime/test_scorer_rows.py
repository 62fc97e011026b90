"""Rows and decisions: one row a file with its own result, and p-values that decide exactly."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from PIL import Image

from edge_ood.artifact.metadata import store_metadata
from edge_ood.calibration.decision import Decision
from edge_ood.calibration.decision_table import DecisionTable
from edge_ood.calibration.threshold import Knots, conformal_pvalues, kept_ranks, threshold_rank
from edge_ood.errors import ArtifactError, DataError
from edge_ood.graph.assemble import assemble
from edge_ood.graph.decision import read_decision, with_decision
from edge_ood.images.folders import find_images
from edge_ood.registry import bind_parameters
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import HEADS, BoundHead

BATCH_TOLERANCE = 1e-6  # float32 sums in another order, relative to logits of about 1


@pytest.fixture
def mixed(tmp_path: Path, colours: Path) -> list[Path]:
    """Images in shuffled order between files that are none, each broken in its own way."""
    good = find_images(colours / "test")
    files = [Path(shutil.copy(path, tmp_path / f"good {i}.png")) for i, path in enumerate(good)]
    whole = good[0].read_bytes()
    damaged = {
        "empty.png": b"",
        "text.png": b"no image",
        "cut off.png": whole[: len(whole) // 2],
        "huge.ppm": b"P6\n99999 99999\n255\n",
        "notes.txt": b"hello",
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        files.append(tmp_path / name)
    files += [tmp_path / "missing.png", tmp_path]
    order = np.random.default_rng(0).permutation(len(files))
    return [files[i] for i in order]


def test_an_unreadable_file_is_named(scorer: Scorer, mixed: list[Path]) -> None:
    """Called with files, the scorer returns all scores or raises."""
    with pytest.raises(DataError, match=f"'{mixed[0].parent}/.*'"):
        scorer(mixed)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_every_file_has_its_own_row(scorer: Scorer, mixed: list[Path], batch_size: int) -> None:
    """Between broken files each row is what the file alone gives, in the order of the input."""
    rows = list(scorer.stream(mixed, batch_size=batch_size))

    assert mixed == [row.path for row in rows]
    for row in rows:
        (alone,) = scorer.stream([row.path])
        assert (alone.status, alone.error) == (row.status, row.error)
        assert alone.values.keys() == row.values.keys()
        for name, value in alone.values.items():
            assert value == pytest.approx(row.values[name], abs=BATCH_TOLERANCE)


def test_statuses_say_what_is_wrong(scorer: Scorer, mixed: list[Path]) -> None:
    """Each way of being broken has its word, an error text and no values."""
    rows = {row.path.name: row for row in scorer.stream(mixed)}

    expected = {
        "empty.png": "not-an-image",
        "text.png": "not-an-image",
        "notes.txt": "not-an-image",
        "cut off.png": "unreadable",
        "huge.ppm": "too-large",
        "missing.png": "unreadable",
        mixed[0].parent.name: "unreadable",
    }
    assert expected == {n: r.status for n, r in rows.items() if r.status != "ok"}
    assert all(bool(row.error) == (row.status != "ok") for row in rows.values())
    assert all(bool(row.values) == (row.status == "ok") for row in rows.values())


def test_a_stream_reads_a_bounded_number_of_paths_ahead(scorer: Scorer, colours: Path) -> None:
    """Memory does not grow with the number of files: they are asked for as rows are taken."""
    image = find_images(colours / "test")[0]
    asked = 0

    def paths() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield image

    rows = scorer.stream(paths(), batch_size=4, threads=2)
    for _ in range(8):
        next(rows)
    rows.close()

    assert asked < 60


def test_an_abandoned_stream_leaves_no_threads(scorer: Scorer, colours: Path) -> None:
    """Closing it half-way ends its decoders."""
    before = threading.active_count()

    rows = scorer.stream(find_images(colours / "train"), batch_size=4, threads=4)
    next(rows)
    rows.close()

    assert before == threading.active_count()


@pytest.mark.parametrize("kind", ["pipe", "sparse"])
def test_a_file_that_never_ends_is_a_row(scorer: Scorer, tmp_path: Path, kind: str) -> None:
    """A named pipe without a writer, or a file of a terabyte, do not stop the others."""
    path = tmp_path / "odd.png"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n")
            file.truncate(2**40)

    (row,) = scorer.stream([path])

    assert {"pipe": "unreadable", "sparse": "too-large"}[kind] == row.status


def test_a_decision_is_the_pvalue_at_alpha(scorer: Scorer, frames: NDArray[np.uint8]) -> None:
    """For every head and image, flagged means `p <= alpha` in float32."""
    alpha = np.float32(scorer.metadata.calibration.alpha)
    greys = np.arange(256, dtype=np.uint8).repeat(16 * 16 * 3).reshape(256, 16, 16, 3)

    found = scorer(np.concatenate([frames, greys]))

    for head in scorer.heads:
        assert (found.pvalues[head] <= alpha).tolist() == found.decisions[head].tolist()
    assert found.pvalues["energy"].tolist() == found.pvalue.tolist()
    assert found.decisions["energy"].tolist() == found.is_ood.tolist()
    assert 0 < found.is_ood.sum() < len(found)


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (40, 0.1), (99, 0.01), (1500, 0.03)])
def test_a_decision_is_the_pvalue_at_alpha_exactly_on_the_knots(
    scorer: Scorer, frames: NDArray[np.uint8], tmp_path: Path, n: int, alpha: float
) -> None:
    """With scores equal to knots to the bit, ties among them, p-values are counted exactly."""
    scores = scorer(frames).scores
    generator = np.random.default_rng(n)
    drawn = {h: np.sort(generator.choice(s[:30], n)) for h, s in scores.items()}
    rank = threshold_rank(n, alpha)
    ranks = kept_ranks(n, rank)
    pvalues = conformal_pvalues(n - np.append(0, ranks)[::-1], n)
    knots = {h: Knots(d[ranks - 1], pvalues, float(d[rank - 1])) for h, d in drawn.items()}
    decision = Decision(DecisionTable.of({h: [k] for h, k in knots.items()}, [0, 0, 0]))
    model = onnx.load(scorer.path)
    onnx.save(with_decision(model, decision, primary="energy"), tmp_path / "x.onnx")

    found = Scorer(tmp_path / "x.onnx")(frames)

    for head, score in scores.items():
        assert score.tolist() == found.scores[head].tolist()
        # A rank that is not kept counts as the next one that is.
        smaller = np.searchsorted(drawn[head], score)
        reached = np.array([n - max([0, *ranks[ranks <= count]]) for count in smaller])
        expected = (np.float32(1) + reached.astype(np.float32)) / np.float32(n + 1)
        assert expected.tolist() == found.pvalues[head].tolist()
        assert knots[head].pvalue(score).tolist() == found.pvalues[head].tolist()
        assert (expected <= np.float32(alpha)).tolist() == found.decisions[head].tolist()
        assert knots[head].is_ood(score).tolist() == found.decisions[head].tolist()


@pytest.fixture(scope="module")
def nan_on_black(
    scorer: Scorer, colour_classifier: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory
) -> Scorer:
    """The artefact with a network whose first logit is NaN for a black image."""
    network = onnx.ModelProto()
    network.CopyFrom(colour_classifier)
    next(n for n in network.graph.node if "logits" in n.output).output[0] = "sound"
    constants = {"all": [1, 2, 3], "almost_two": np.float32(1.999), "nothing": np.float32(0)}
    constants |= {"column": [1], "before_and_after": [0, 0, 0, 2]}
    network.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    network.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["input", "all"], ["mean"], keepdims=0),
            helper.make_node("Add", ["mean", "almost_two"], ["brightness"]),
            helper.make_node("Sqrt", ["brightness"], ["root"]),  # black is -2
            helper.make_node("Mul", ["root", "nothing"], ["zero_or_nan"]),
            helper.make_node("Unsqueeze", ["zero_or_nan", "column"], ["added"]),
            helper.make_node("Pad", ["added", "before_and_after"], ["padded"]),
            helper.make_node("Add", ["sound", "padded"], ["logits"]),
        ]
    )
    heads = [HEADS.get(name) for name in scorer.heads]
    bound = [BoundHead(h, bind_parameters(h.score, {}, owner=h.name)) for h in heads]
    model = assemble(network, scorer.metadata.preprocess, bound, primary="energy")
    decision = read_decision(onnx.load(scorer.path), scorer.heads)
    model = with_decision(model, decision, primary="energy")
    store_metadata(model, scorer.metadata)
    path = tmp_path_factory.mktemp("nan") / "nan.onnx"
    onnx.save(model, path)
    return Scorer(path, threads=1)


def test_nan_logits_are_flagged_at_the_smallest_pvalue(
    scorer: Scorer, nan_on_black: Scorer, frames: NDArray[np.uint8]
) -> None:
    """A NaN logit is flagged by every head at the smallest p-value; its batch is not touched."""
    images = np.concatenate([frames[:3], np.zeros((1, 16, 16, 3), np.uint8), frames[3:6]])

    found = nan_on_black(images)

    n = scorer.metadata.calibration.n
    assert [False] * 3 + [True] + [False] * 3 == np.isnan(found.logits[:, 0]).tolist()
    assert [True] * 3 + [False] + [True] * 3 == found.is_finite.tolist()
    for head in scorer.heads:
        assert np.isnan(found.scores[head][3])
        assert found.decisions[head][3]
        assert np.float32(1) / np.float32(n + 1) == found.pvalues[head][3]
    assert found.is_ood[3]
    np.testing.assert_array_equal(np.delete(found.logits, 3, 0), scorer(frames[:6]).logits)


def test_nan_is_a_row_with_its_status(nan_on_black: Scorer, colours: Path, tmp_path: Path) -> None:
    """`not-finite` says what is wrong and keeps the values, decision included."""
    black = tmp_path / "black.png"
    Image.new("RGB", (16, 16)).save(black)
    sound = find_images(colours / "test")[0]

    rows = list(nan_on_black.stream([sound, black, sound]))

    assert ["ok", "not-finite", "ok"] == [row.status for row in rows]
    assert "not a finite number" in rows[1].error
    assert rows[1].values["is_ood"]
    assert np.isnan(rows[1].values["energy"])
    assert rows[0].values == rows[2].values


def test_a_graph_that_mixes_up_its_batch_is_an_error(
    scorer: Scorer, colour_artifact: Path, tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    """Fewer results than images would be somebody else's results."""
    model = onnx.load(colour_artifact)
    node = next(n for n in model.graph.node if "msp_pvalue" in n.output)
    node.output[list(node.output).index("msp_pvalue")] = "all_pvalues"
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    model.graph.node.append(helper.make_node("Gather", ["all_pvalues", "first"], ["msp_pvalue"]))
    onnx.save(model, tmp_path / "x.onnx")

    with pytest.raises(ArtifactError, match=r"gave \[.*1.*\] results for 5 images"):
        Scorer(tmp_path / "x.onnx")(frames[:5])
