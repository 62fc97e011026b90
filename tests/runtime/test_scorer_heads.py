"""A `Scorer` of some heads: the rest of the graph is gone, and nothing else changes."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto
from typer.testing import CliRunner

from edge_ood.artifact.calibration_record import Calibration, Probe
from edge_ood.artifact.metadata import HeadRecord, Metadata, store_metadata
from edge_ood.cli.app import app
from edge_ood.errors import InputError, UnknownNameError
from edge_ood.graph.assemble import assemble
from edge_ood.graph.decision import keep_heads
from edge_ood.images.folders import read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import parse_specs
from edge_ood.runtime.calibrate import calibrate_artifact
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import bind_head

NAMES = ("msp", "odin", "energy")


@pytest.fixture(scope="module")
def path(
    colours: Path, colour_classifier: ModelProto, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A calibrated artefact with a head that needs a gradient; `energy` decides."""
    heads = [bind_head(spec) for spec in parse_specs(",".join(NAMES))]
    model = assemble(colour_classifier, Preprocess(16), heads, primary="energy")
    images = read_class_folders(colours / "calibration")
    metadata = Metadata(
        classes=images.classes,
        preprocess=Preprocess(16),
        heads=tuple(HeadRecord(head.name, head.parameters) for head in heads),
        primary="energy",
        calibration=Calibration(0.05, 0, dict.fromkeys(NAMES, 0.0), ""),
        manifests={},
        probe=Probe(seed=0),
        version="0.1.0",
    )
    store_metadata(model, metadata)
    output = tmp_path_factory.mktemp("heads") / "x.onnx"
    onnx.save(model, output)
    calibrate_artifact(output, images.paths, provider="cpu")
    return output


def convolutions(model: ModelProto) -> int:
    return Counter(node.op_type for node in model.graph.node)["Conv"]


def frames(count: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


def test_kept_heads_say_what_they_said(path: Path) -> None:
    """Scores, p-values, decisions and labels are bit for bit those of the whole artefact."""
    expected = Scorer(path, provider="cpu").score_arrays(frames())

    found = Scorer(path, provider="cpu", heads=["energy", "msp"]).score_arrays(frames())

    assert ["msp", "energy"] == list(found.scores)
    for name in ("label_index", "is_ood", "pvalue", "logits"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(found, name))
    for head in found.scores:
        for table in ("scores", "pvalues", "decisions"):
            np.testing.assert_array_equal(
                getattr(expected, table)[head], getattr(found, table)[head]
            )


def test_what_only_other_heads_need_is_gone(path: Path) -> None:
    """Without `odin` one convolution is left of three, the gradient's and the second pass's."""
    whole = onnx.load(path)

    kept = keep_heads(whole, NAMES, ["energy"], primary="energy")

    assert 1 == convolutions(kept)
    assert convolutions(whole) > 2
    assert list(whole.metadata_props) == list(kept.metadata_props)
    assert len(whole.graph.node) > 2 * len(kept.graph.node)


def test_declared_shapes_of_the_rest_are_kept(path: Path) -> None:
    """They are taken over and not worked out again; a file that has none gets none, and runs."""
    whole = onnx.load(path)

    kept = keep_heads(whole, NAMES, ["energy"], primary="energy")

    declared = [value.name for value in kept.graph.value_info]
    made = {name for node in kept.graph.node for name in node.output}
    assert declared
    assert [v.name for v in whole.graph.value_info if v.name in made] == declared


def test_a_file_without_declared_shapes_can_be_narrowed(path: Path, tmp_path: Path) -> None:
    """Earlier versions declared none; p-values are the same."""
    earlier = onnx.load(path)
    del earlier.graph.value_info[:]
    onnx.save(earlier, tmp_path / "earlier.onnx")
    expected = Scorer(path, provider="cpu").score_arrays(frames())

    scorer = Scorer(tmp_path / "earlier.onnx", provider="cpu", heads=["energy"])

    found = scorer.score_arrays(frames())
    np.testing.assert_allclose(found.scores["energy"], expected.scores["energy"], rtol=1e-5)
    np.testing.assert_array_equal(found.pvalue, expected.pvalue)


@pytest.mark.parametrize(
    ("heads", "error", "message"),
    [
        (["energy", "oddin"], UnknownNameError, "unknown score of this artefact 'oddin'"),
        (["energy", ""], InputError, "an empty name among the scores 'energy,'"),
        (["msp"], InputError, "scores msp without 'energy', which decides"),
        ([], InputError, "without 'energy'"),
    ],
)
def test_heads_that_cannot_be_are_refused(
    path: Path, heads: list[str], error: type[Exception], message: str
) -> None:
    """An unknown head, and a choice without the one that decides."""
    with pytest.raises(error, match=message):
        Scorer(path, provider="cpu", heads=heads)


def test_the_command_writes_their_columns_alone(path: Path, colours: Path) -> None:
    """`score --scores energy` has the columns of `energy` and no other head."""
    image = next((colours / "test").rglob("*.png"))

    result = CliRunner().invoke(
        app, ["score", str(path), str(image), "--scores", "energy", "--format", "csv"]
    )

    assert 0 == result.exit_code, result.output
    header = result.stdout.splitlines()[0].split(",")
    assert ["energy", "energy_pvalue", "energy_is_ood"] == header[-3:]
    assert not {"msp", "odin"} & set(header)
