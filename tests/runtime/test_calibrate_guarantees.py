"""What is guaranteed, of calibrated files: by class, for a combined score, or by hand."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from scipy.stats import combine_pvalues

from edge_ood.artifact.calibration_record import Probe
from edge_ood.artifact.metadata import store_metadata
from edge_ood.calibration.guarantee import Changes, Guarantee
from edge_ood.errors import CalibrationError, InputError
from edge_ood.graph.decision import keep_heads
from edge_ood.images.splits import halves_by_hash
from edge_ood.runtime.calibrate import (
    CalibrationReport,
    calibrate_artifact,
    set_thresholds,
)
from edge_ood.runtime.scorer import Scorer

HEADS = ("energy", "msp", "uniform_ce")


def decided_as_promised(path: Path, frames: list[Path]) -> None:
    """Every decision is its p-value at alpha, whatever the score and the class."""
    scorer = Scorer(path, provider="cpu")
    found = scorer(frames)
    alpha = np.float32(scorer.metadata.calibration.alpha)
    for head in scorer.heads:
        assert (found.pvalues[head] <= alpha).tolist() == found.decisions[head].tolist()


def change(path: Path, images: list[Path], **changes: Any) -> CalibrationReport:
    """Calibrate in place on the CPU with other options."""
    return calibrate_artifact(path, images, changes=Changes(**changes), provider="cpu")


def test_a_class_is_calibrated_on_its_own_images(path: Path, known: list[Path]) -> None:
    """All but n + 1 - k of them are kept in each predicted class; few images share a threshold."""
    few = known[0::2][:60] + known[1::2][:12]

    report = change(path, few, per_class=True)

    found = Scorer(path, provider="cpu")(few)
    counts = np.bincount(found.label_index, minlength=3)
    assert tuple(counts) == report.after.class_counts
    (own,) = report.after.guarantee.own_classes(report.after.class_counts).tolist()
    n = counts[own]
    kept = math.ceil((n + 1) * 0.95 - 1e-9)
    for head in HEADS:
        of_class = found.label_index == own
        assert n - kept == found.decisions[head][of_class].sum()
        shared = report.after.thresholds[head]
        others = ~of_class
        assert (~(found.scores[head][others] <= shared)).tolist() == (
            found.decisions[head][others].tolist()
        )
    decided_as_promised(path, known)


def test_no_class_with_enough_images_is_an_error(path: Path, known: list[Path]) -> None:
    """Thresholds per class from 18 images each would be those of all images, under another name."""
    with pytest.raises(
        CalibrationError, match=r"no predicted class has more than 18 .* 19"
    ) as raised:
        change(path, known[:36], per_class=True)

    assert "leave out --per-class" in str(raised.value.hint)


def raised(scores: np.ndarray) -> np.ndarray:
    """Scores as the combined one knows them, a little above rounding."""
    return scores + 1e-4 * (scores.max() - np.median(scores))


def test_a_combined_score_is_calibrated_on_one_half(path: Path, known: list[Path]) -> None:
    """The images of the first half fix its p-values, those of the second its threshold."""
    report = change(path, known, combined=True)

    scorer = Scorer(path, provider="cpu")
    found = scorer(known)
    assert report.scores is not None
    second = ~halves_by_hash(report.scores.hashes)
    n = int(second.sum())
    kept = math.ceil((n + 1) * 0.95 - 1e-9)
    assert (*HEADS, "combined") == scorer.heads
    assert n == report.after.combined_n
    assert n - kept == found.decisions["combined"][second].sum()
    first = {head: raised(found.scores[head][~second]) for head in HEADS}
    pvalues = np.array(
        [
            [(1 + (first[h] >= s).sum()) / (len(first[h]) + 1) for s in found.scores[h]]
            for h in HEADS
        ]
    )
    inside = pvalues.min(axis=0) > 1 / (len(first["msp"]) + 1)
    fisher = combine_pvalues(pvalues, method="fisher", axis=0).statistic / 2
    np.testing.assert_allclose(found.scores["combined"][inside], fisher[inside], rtol=1e-6)
    decided_as_promised(path, known)


def test_options_stay_and_can_be_taken_back(path: Path, known: list[Path]) -> None:
    """A later calibration holds what the file holds, until it is told otherwise."""
    change(path, known, per_class=True, combined=True, confidence=0.5)
    again = change(path, known)
    back = change(path, known, per_class=False, combined=False, confidence=0.0)

    assert Guarantee(0.05, 0.5, per_class=True, combined=True) == again.after.guarantee
    assert Guarantee() == back.after.guarantee
    assert HEADS == Scorer(path).heads


@pytest.mark.parametrize("n", [19, 37])
def test_a_combined_score_of_too_few_images_is_refused(
    path: Path, known: list[Path], n: int
) -> None:
    """Two halves of 19 are needed, before any image is opened."""
    with pytest.raises(CalibrationError, match=f"{n} calibration images are too few .* 2 x 19"):
        change(path, [Path("missing.png")] * n, combined=True)

    assert 19 == change(path, known[:38], combined=True).after.combined_n


def test_copies_of_an_image_do_not_fill_a_half(path: Path, known: list[Path]) -> None:
    """They count once, so that no image calibrates what it fixed, and 38 files may be too few."""
    copies = [*known[:20], *([known[20]] * 18)]

    with pytest.raises(CalibrationError, match=r"^21 calibration images are .*2 x 19: .* 17 are"):
        change(path, copies, combined=True)


def test_one_score_alone_cannot_be_combined(path: Path, known: list[Path]) -> None:
    """There is nothing to combine it with."""
    metadata = Scorer(path).metadata
    thresholds = {"energy": metadata.calibration.thresholds["energy"]}
    alone = replace(
        metadata,
        heads=metadata.heads[:1],
        calibration=replace(metadata.calibration, thresholds=thresholds),
        probe=Probe(seed=0),
    )
    model = keep_heads(onnx.load(path), HEADS, ["energy"], primary="energy")
    store_metadata(model, alone)
    onnx.save(model, path)

    with pytest.raises(InputError, match="this file has 'energy' alone"):
        change(path, known, combined=True)


def test_a_threshold_of_ones_own_decides(path: Path, known: list[Path]) -> None:
    """It replaces that of the images, p-values stay, and the file says whose it is."""
    before = Scorer(path)(known)
    value = float(np.median(before.scores["msp"]))

    report = set_thresholds(path, {"msp": value})

    found = Scorer(path)(known)
    metadata = Scorer(path).metadata
    assert (before.scores["msp"] > np.float32(value)).tolist() == found.decisions["msp"].tolist()
    assert before.decisions["energy"].tolist() == found.decisions["energy"].tolist()
    assert before.pvalues["msp"].tolist() == found.pvalues["msp"].tolist()
    assert ("msp",) == metadata.calibration.manual_thresholds == report.after.manual_thresholds
    assert float(np.float32(value)) == metadata.calibration.thresholds["msp"]


def test_images_bring_their_own_threshold_back(path: Path, known: list[Path]) -> None:
    """A later calibration is by images again, unless it is given thresholds, too."""
    expected = change(path, known).after.thresholds
    set_thresholds(path, {"msp": 0.5})
    both = change(path, known, thresholds={"energy": -1.0}).after
    last = change(path, known).after

    assert (-1.0, expected["msp"]) == (both.thresholds["energy"], both.thresholds["msp"])
    assert ("energy",) == both.manual_thresholds
    assert (expected, ()) == (last.thresholds, last.manual_thresholds)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [({"mps": 0.5}, "unknown score of this artefact 'mps'"), ({"msp": math.nan}, "threshold nan")],
)
def test_thresholds_that_cannot_be_are_refused(
    path: Path, thresholds: dict[str, float], message: str
) -> None:
    """An unknown score, or no number; the file stays."""
    before = path.read_bytes()

    with pytest.raises(InputError, match=message):
        set_thresholds(path, thresholds)

    assert before == path.read_bytes()
