"""A converted artefact against its fp32 reference: counted by hand, correlated by SciPy."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from scipy.stats import spearmanr

from edge_ood.calibration.guarantee import Changes
from edge_ood.images.folders import find_images
from edge_ood.parity import comparison
from edge_ood.parity.comparison import Comparison, compare, rank_correlation
from edge_ood.runtime.calibrate import calibrate_artifact
from edge_ood.runtime.scorer import Scorer

HEADS = ("energy", "msp", "uniform_ce")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time one round."""
    monkeypatch.setattr(comparison, "_ROUNDS", 1)


@pytest.fixture(scope="module")
def images(colours: Path) -> list[Path]:
    """Images that no artefact has seen."""
    return find_images(colours / "test")


def changed(artifact: Path, path: Path, edit: Callable[[np.ndarray], np.ndarray]) -> Path:
    """A copy whose linear layer is another; its thresholds are still the old ones."""
    model = onnx.load(artifact)
    tensor = next(t for t in model.graph.initializer if t.name.endswith("linear"))
    array = edit(numpy_helper.to_array(tensor)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, path)
    return path


def test_a_file_beside_itself_has_not_changed(
    colour_artifact: Path, images: list[Path], tmp_path: Path
) -> None:
    """No flips, equal ranks, equal sizes."""
    reference = shutil.copy(colour_artifact, tmp_path / "reference.onnx")

    found = compare(colour_artifact, reference, images, provider="cpu")

    assert (len(images), 0, 0.0) == (found.images, found.label_flips, found.logits_error)
    assert found.size_bytes == found.float32_bytes == reference.stat().st_size
    assert HEADS == tuple(head.head for head in found.heads)
    for head in found.heads:
        assert (0, 0) == (head.flips_before, head.flips_after)
        assert pytest.approx(1, abs=1e-12) == head.rank_correlation


def test_changes_are_counted(colour_artifact: Path, images: list[Path], tmp_path: Path) -> None:
    """Labels, logits and decisions of another classifier, counted without this module."""
    generator = np.random.default_rng(0)
    file = changed(
        colour_artifact,
        tmp_path / "x.onnx",
        lambda w: 0.3 * w + generator.normal(0, 0.5, w.shape),
    )
    ours, theirs = (Scorer(path, provider="cpu")(images) for path in (file, colour_artifact))

    found = compare(file, colour_artifact, images, provider="cpu")

    flips = sum(a != b for a, b in zip(ours.label, theirs.label, strict=True))
    assert 0 < flips == found.label_flips
    assert flips / len(images) == found.flip_rate
    rms = np.sqrt(np.mean((ours.logits - theirs.logits) ** 2)) / theirs.logits.std()
    assert rms == pytest.approx(found.logits_error, rel=1e-5)
    for head in found.heads:
        expected = spearmanr(ours.scores[head.head], theirs.scores[head.head]).statistic
        assert expected == pytest.approx(head.rank_correlation, abs=1e-12)
        same = ours.decisions[head.head] == theirs.decisions[head.head]
        assert 1 - same.mean() == pytest.approx(head.flips_after)
    assert any(head.flips_after for head in found.heads)


@pytest.mark.parametrize("changes", [Changes(), Changes(per_class=True), Changes(combined=True)])
def test_flips_before_calibration_use_what_the_reference_decides_by(
    colour_artifact: Path, colours: Path, images: list[Path], tmp_path: Path, changes: Changes
) -> None:
    """As if its thresholds, those of classes and of the combined score too, stood in the file."""
    reference, file, grafted = (
        tmp_path / f"{name}.onnx" for name in ("reference", "file", "grafted")
    )
    known = find_images(colours / "calibration")
    calibrate_artifact(colour_artifact, known, changes=changes, output=reference, provider="cpu")
    changed(reference, grafted, lambda w: 0.8 * w)
    calibrate_artifact(grafted, known, output=file, provider="cpu")
    theirs, kept, own = (
        Scorer(path, provider="cpu")(images).decisions for path in (reference, grafted, file)
    )

    found = compare(file, reference, images, provider="cpu")

    assert set(theirs) == {head.head for head in found.heads}
    for head in found.heads:
        name = head.head
        assert (kept[name] != theirs[name]).mean() == head.flips_before
        assert (own[name] != theirs[name]).mean() == head.flips_after
    assert any(head.flips_before > head.flips_after for head in found.heads)


@pytest.mark.parametrize("levels", [3, 1000])
def test_rank_correlation_is_that_of_scipy(levels: int) -> None:
    """With many ties and with few."""
    generator = np.random.default_rng(levels)
    first = generator.integers(0, levels, 200)
    second = first + generator.integers(-levels, levels, 200)

    assert spearmanr(first, second).statistic == pytest.approx(
        rank_correlation(first, second), abs=1e-12
    )


def test_constant_scores_have_a_rank_correlation() -> None:
    """SciPy says NaN, which no metadata can hold."""
    constant, other = np.zeros(5), np.arange(5)

    assert 1.0 == rank_correlation(constant, constant + 1)
    assert 0.0 == rank_correlation(constant, other)
    assert -1.0 == pytest.approx(rank_correlation(-other, other))


def test_the_document_has_every_field(
    colour_artifact: Path, images: list[Path], tmp_path: Path
) -> None:
    """What goes into the metadata holds plain numbers, speed among them."""
    reference = shutil.copy(colour_artifact, tmp_path / "reference.onnx")

    found = compare(colour_artifact, reference, images, provider="cpu")
    document = found.to_json()

    assert set(Comparison.__dataclass_fields__) == set(document)
    assert document["speed"] > 0
    assert {"head", "rank_correlation", "flips_before", "flips_after"} == set(document["heads"][0])
