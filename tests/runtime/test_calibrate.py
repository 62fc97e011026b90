"""Thresholds through the file: right by count, following the network, and undone to the bit."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_ood.artifact.calibration_record import Probe
from edge_ood.artifact.device import Device, this_device
from edge_ood.artifact.metadata import Metadata, store_metadata
from edge_ood.artifact.packed import Manifest
from edge_ood.calibration.guarantee import Changes
from edge_ood.errors import CalibrationError, DataError, InputError
from edge_ood.graph.decision import read_decision
from edge_ood.images.folders import find_images
from edge_ood.runtime.calibrate import (
    CalibrationReport,
    calibrate_artifact,
    undo_calibration,
)
from edge_ood.runtime.probe import run_probe
from edge_ood.runtime.scorer import Scorer

HEADS = ("energy", "msp", "uniform_ce")


ELSEWHERE = Device("Cortex-A72", "aarch64", ("asimd",), "1.17.0", "cpu")


def store(path: Path, metadata: Metadata) -> None:
    """Put other metadata into a finished file."""
    model = onnx.load(path)
    store_metadata(model, metadata)
    onnx.save(model, path)


def calibrate(path: Path, images: list[Path], alpha: float | None = None) -> CalibrationReport:
    """Calibrate in place on the CPU."""
    return calibrate_artifact(path, images, changes=Changes(alpha), provider="cpu")


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (60, 0.05), (99, 0.01), (120, 0.1)])
def test_the_threshold_lies_above_rank_k(
    path: Path, known: list[Path], n: int, alpha: float
) -> None:
    """The k-th smallest score is the last that is kept, k = ceil((n + 1)(1 - alpha))."""
    report = calibrate(path, known[:n], alpha)

    found = Scorer(path)(known[:n])
    kept = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    assert (n, alpha) == (report.after.n, report.after.alpha)
    for head in HEADS:
        ordered = np.sort(found.scores[head])
        assert n - kept == found.decisions[head].sum()
        assert ordered[kept - 1] <= report.after.thresholds[head]
        assert kept == n or report.after.thresholds[head] < ordered[kept]


def test_metadata_graph_and_report_agree(path: Path, known: list[Path]) -> None:
    """One threshold per head, the same float32 number in all three places."""
    report = calibrate(path, known)

    metadata = Scorer(path).metadata
    assert report.after == metadata.calibration
    assert len(known) == metadata.calibration.n
    stored = read_decision(onnx.load(path), HEADS)
    assert HEADS == report.decision.table.heads
    assert stored.table.thresholds[:, 0].tolist() == list(metadata.calibration.thresholds.values())
    for name in ("thresholds", "knots", "pvalues", "groups"):
        found, fitted = (decision.to_arrays()[name] for decision in (stored, report.decision))
        assert found.tolist() == fitted.tolist()


def test_the_file_says_which_images_set_its_thresholds(path: Path, known: list[Path]) -> None:
    """Their hashes replace those of the images before; the other roles stay."""
    before = Scorer(path).metadata

    report = calibrate(path, known)

    manifests = Scorer(path).metadata.manifests
    assert report.scores is not None
    assert before.manifests["training"] == manifests["training"]
    assert manifests["calibration"].overlap(report.scores.hashes).all()
    assert len(known) == manifests["calibration"].count


def test_nothing_but_thresholds_changes(path: Path, known: list[Path]) -> None:
    """Scores, labels and logits are those of before, to the bit."""
    before = Scorer(path)(known[:10])

    calibrate(path, known)

    after = Scorer(path)(known[:10])
    assert before.logits.tolist() == after.logits.tolist()
    assert before.label == after.label
    for head in HEADS:
        assert before.scores[head].tolist() == after.scores[head].tolist()


def test_alpha_stays_unless_it_is_given(path: Path, known: list[Path]) -> None:
    """The file's own rate is the default, also if it was changed before."""
    assert 0.05 == calibrate(path, known).after.alpha
    assert 0.2 == calibrate(path, known, 0.2).after.alpha
    assert 0.2 == calibrate(path, known).after.alpha


@pytest.mark.parametrize(("n", "alpha", "needed"), [(18, 0.05, 19), (98, 0.01, 99)])
def test_too_few_images_say_how_many_are_needed(
    path: Path, n: int, alpha: float, needed: int
) -> None:
    """Before any of them is opened, and the file is left as it was."""
    before = path.read_bytes()

    with pytest.raises(CalibrationError, match=f"{n} calibration scores cannot give") as raised:
        calibrate(path, [Path("missing.png")] * n, alpha)

    assert f"use at least {needed}, or --alpha" in str(raised.value.hint)
    assert before == path.read_bytes()


@pytest.mark.parametrize("alpha", [0, 1, -0.1, math.nan, 5e-324])
def test_an_impossible_rate_is_refused(path: Path, known: list[Path], alpha: float) -> None:
    """Before any image is opened."""
    with pytest.raises(InputError, match="expected a rate between 0 and 1"):
        calibrate(path, known, alpha)


def test_another_file_can_be_written(path: Path, known: list[Path], tmp_path: Path) -> None:
    """With an output the artefact itself stays as it was."""
    before = path.read_bytes()
    output = tmp_path / "new" / "y.onnx"

    report = calibrate_artifact(path, known, output=output, provider="cpu")

    assert before == path.read_bytes()
    assert report.after == Scorer(output).metadata.calibration


def test_a_name_that_looks_like_another_format_is_a_model(path: Path, known: list[Path]) -> None:
    """The onnx library would write JSON to a file called .json."""
    odd = path.rename(path.with_suffix(".json"))

    calibrate(odd, known)

    assert len(known) == Scorer(odd).metadata.calibration.n


@pytest.mark.parametrize("role", ["training", "outliers"])
def test_images_of_the_training_are_refused(
    path: Path, known: list[Path], colours: Path, role: str
) -> None:
    """They are known by content: the copy of a training image is one, and it is named."""
    metadata = Scorer(path).metadata
    manifests = {role: metadata.manifests["training"], "calibration": Manifest()}
    store(path, replace(metadata, manifests=manifests))
    trained = find_images(colours / "train")[4]
    renamed = Path(shutil.copy(trained, path.parent / "innocent.png"))

    with pytest.raises(CalibrationError, match=rf"1 of 31 .* {role} images .*innocent\.png'"):
        calibrate(path, [*known[:20], renamed, *known[20:30]])


def test_a_broken_image_is_refused(path: Path, known: list[Path]) -> None:
    """Leaving it out silently would make n another than the user thinks."""
    broken = path.parent / "broken.png"
    broken.write_bytes(b"nothing")
    before = path.read_bytes()

    with pytest.raises(DataError, match=r"broken\.png"):
        calibrate(path, [*known, broken])

    assert before == path.read_bytes()


def change_weights(path: Path, factor: float) -> None:
    """Scale the last layer of the network inside a finished file."""
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == "classifier/linear"]
    scaled = numpy_helper.to_array(tensor) * np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))
    onnx.save(model, path)


def test_thresholds_follow_the_network(path: Path, known: list[Path]) -> None:
    """With another classifier inside the file, calibrating brings the rate back."""
    before = calibrate(path, known).after
    change_weights(path, 0.3)
    stale = Scorer(path)(known)

    report = calibrate(path, known)

    found = Scorer(path)(known)
    expected = len(known) - math.ceil((len(known) + 1) * 0.95)
    for head in HEADS:
        assert before.thresholds[head] != report.after.thresholds[head]
        assert expected == found.decisions[head].sum()
        assert expected != stale.decisions[head].sum()


def test_scores_that_are_not_finite_are_refused(path: Path, known: list[Path]) -> None:
    """The head is named, and how many images it concerns."""
    change_weights(path, np.nan)
    before = path.read_bytes()

    with pytest.raises(
        CalibrationError, match="head 'energy': 120 of 120 calibration scores are not finite"
    ):
        calibrate(path, known)

    assert before == path.read_bytes()


def test_progress_is_reported_per_image(path: Path, known: list[Path]) -> None:
    """Once for each image, so that a bar can be drawn."""
    seen = []

    calibrate_artifact(path, known[:25], provider="cpu", on_image=lambda: seen.append(1))

    assert 25 == len(seen)


def move_elsewhere(path: Path, shift: float) -> Probe:
    """Let a file say that another device recorded its probe, with other energies."""
    metadata = Scorer(path).metadata
    energies = [score + shift for score in metadata.probe.scores["energy"]]
    scores = {**metadata.probe.scores, "energy": energies}
    probe = replace(metadata.probe, scores=scores, device=ELSEWHERE)
    store(path, replace(metadata, probe=probe))
    return probe


def test_the_probe_is_that_of_the_device(path: Path, known: list[Path]) -> None:
    """A file of another device fails here, passes once it is calibrated, and fails elsewhere."""
    move_elsewhere(path, 1.0)
    assert ("energy",) == run_probe(Scorer(path)).failed_heads

    calibrate(path, known)

    result = run_probe(Scorer(path))
    assert result.passed
    assert this_device("cpu") == result.recorded
    metadata = Scorer(path).metadata
    assert ELSEWHERE == metadata.history[-1].probe.device
    change_weight(path)
    assert not run_probe(Scorer(path)).passed


def test_undo_brings_the_earlier_probe_back(path: Path, known: list[Path]) -> None:
    """Scores, tolerances and device; here it fails as it did before."""
    before = move_elsewhere(path, 1.0)
    calibrate(path, known)

    undo_calibration(path)

    restored = Scorer(path).metadata.probe
    assert before == replace(restored, verdicts=before.verdicts)
    assert ("energy",) == run_probe(Scorer(path)).failed_heads


def test_undo_in_a_file_of_an_earlier_version_keeps_the_probe(
    path: Path, known: list[Path]
) -> None:
    """Its earlier calibrations have none of their own, because it never changed."""
    calibrate(path, known)
    metadata = Scorer(path).metadata
    archived = replace(metadata.history[-1], probe=Probe(0))
    store(path, replace(metadata, history=(archived,)))

    undo_calibration(path)

    kept = Scorer(path).metadata.probe
    assert metadata.probe == replace(kept, verdicts=metadata.probe.verdicts)
    assert run_probe(Scorer(path)).passed


def test_tolerances_are_those_of_the_calibration_images(path: Path, known: list[Path]) -> None:
    """A thousandth of their scores' interquartile range, where that is the larger."""
    report = calibrate(path, known)

    assert report.scores is not None
    low, high = np.percentile(report.scores.scores["energy"].astype(float), [25, 75])
    probe = Scorer(path).metadata.probe
    least = 1e-4 * np.abs(probe.scores["energy"]).max()
    assert max(1e-3 * (high - low), least) == pytest.approx(probe.tolerances["energy"])


def change_weight(path: Path) -> None:
    """Make the network say something else, as another device would."""
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == "classifier/linear"]
    changed = numpy_helper.to_array(tensor) * np.float32(1.01)
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, path)
