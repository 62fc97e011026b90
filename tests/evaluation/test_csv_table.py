"""The CSV table of an evaluation: columns, rows, and that every number is the document's."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
from artefact_answers import HEADS, answers

from edge_ood.evaluation.csv_table import COLUMNS, csv_table
from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.groups import group_results
from edge_ood.evaluation.measure import (
    measure_id,
    measure_ood,
    measure_shifted,
)
from edge_ood.evaluation.results import (
    ArtifactResult,
    Bootstrap,
    CorruptedResult,
    CorruptionResult,
    Interval,
)


@pytest.fixture
def artifact() -> ArtifactResult:
    """An artefact on two sets and a corruption, with some intervals."""
    inside, outside = answers([0.1, 0.2, 0.3, 0.6]), answers([0.4, 0.7])
    labelled = replace(inside, labels=np.array([0, 1, 0, 0]))
    on_id = measure_id(labelled, dict.fromkeys(HEADS, (0.5, 0.5)), overlap={})
    near = measure_ood(inside, outside, group="near", kind="files", overlap={"training": 2, "x": 1})
    ood = {
        "=near": replace(near, intervals={"msp": {"auroc": Interval(0.25, 0.75)}}),
        "noise": measure_ood(inside, outside, group="far", kind="synthetic", overlap={}),
    }
    on_head = replace(
        on_id.heads["msp"],
        intervals={"realised_tpr": Interval(0.5, 1.0), "auroc": Interval(0.25, 0.5)},
    )
    moved = replace(answers([0.3, 0.55, 0.9]), labels=np.array([0, 1, 1]))
    shifted = measure_shifted(labelled, moved, {"=near": outside}, overlap={"training": 3})
    on_moved = replace(shifted.heads["msp"], intervals={"accepted_accuracy": Interval(0.125, 1.0)})
    full = shifted.full_spectrum["=near"]
    shifted = replace(
        shifted,
        heads={"energy": shifted.heads["energy"], "msp": on_moved},
        intervals={"accuracy": Interval(0.25, 0.75)},
        full_spectrum={"=near": replace(full, intervals={"msp": {"auroc": Interval(0.5, 0.9)}})},
    )
    corrupted = CorruptedResult(
        3, 4, 0.5, 0.7, math.nan, {"energy": 0.1, "msp": 0.2}, {"energy": 0.3, "msp": 0.4}
    )
    return ArtifactResult(
        name="made",
        path="./made.onnx",
        sha256="",
        n_bytes=1,
        precision="fp32",
        heads=HEADS,
        primary="msp",
        alpha=0.05,
        objective="",
        id=replace(
            on_id,
            heads={"energy": on_id.heads["energy"], "msp": on_head},
            intervals={"accuracy": Interval(0.4, 0.9)},
        ),
        ood=ood,
        groups=group_results(ood),
        corruptions=(CorruptionResult("blur", (corrupted,)),),
        shifted={"night": shifted},
    )


def rows(*artifacts: ArtifactResult) -> list[dict[str, str]]:
    """What a reader of CSV sees."""
    made = csv_table(Evaluation("1", "id", artifacts, Bootstrap(0, 0.95, 0), None, False))
    return list(csv.DictReader(made.splitlines()))


def test_columns_are_a_contract() -> None:
    """Names and order of all columns."""
    rates = [
        "auroc",
        "aupr_in",
        "aupr_out",
        "fpr95_id_positive",
        "fpr95_ood_positive",
        "detection_error",
        "flagged",
        "accuracy",
        "mean_max_probability",
        "mean_max_probability_right",
        "mean_max_probability_wrong",
        "expected_calibration_error",
        "rms_calibration_error",
        "realised_tpr",
        "accepted_accuracy",
        "misclassification_auroc",
        "misclassification_aupr_right",
        "misclassification_aupr_wrong",
    ]
    about = ["model", "kind", "set", "group", "strength", "head", "is_primary", "n", "seen"]

    assert [
        *about,
        *(name for rate in rates for name in (rate, f"{rate}_low", f"{rate}_high")),
        "shifted",
    ] == list(COLUMNS)


def test_one_row_per_artefact_set_and_head(artifact: ArtifactResult) -> None:
    """ID images, OOD sets, groups, corruptions, shifted sets; every artefact in its turn."""
    found = rows(artifact, replace(artifact, name="other"))

    expected = [
        ("id", "", ""),
        ("files", "'=near", "near"),
        ("synthetic", "noise", "far"),
        ("group", "near", ""),
        ("group", "far", ""),
        ("group", "all", ""),
        ("corrupted", "blur", ""),
        ("shifted", "night", ""),
        ("full-spectrum", "'=near", "near"),
    ]
    assert [(*row, head) for row in expected for head in HEADS] == [
        (r["kind"], r["set"], r["group"], r["head"]) for r in found[: len(found) // 2]
    ]
    assert ["made", "other"] == [found[0]["model"], found[-1]["model"]]
    assert ["false", "true"] == [row["is_primary"] for row in found[:2]]


def test_numbers_are_those_of_the_document(artifact: ArtifactResult) -> None:
    """To the last bit, with intervals where there are any, and empty where there is nothing."""
    by_key = {(r["set"], r["head"]): r for r in rows(artifact) if not r["shifted"]}

    on_id, near = by_key["", "msp"], by_key["'=near", "msp"]
    pair = artifact.ood["=near"].metrics["msp"]
    for name in ("auroc", "aupr_in", "aupr_out", "detection_error", "fpr95_ood_positive"):
        assert getattr(pair, name) == float(near[name])
    assert ("2", "training=2 x=1", "0.5") == (near["n"], near["seen"], near["flagged"])
    assert ("0.25", "0.75", "") == (near["auroc_low"], near["auroc_high"], near["aupr_in_low"])
    assert "" == by_key["'=near", "energy"]["auroc_low"]
    assert artifact.id.accuracy == float(on_id["accuracy"])
    assert ("0.4", "0.9") == (on_id["accuracy_low"], on_id["accuracy_high"])
    assert ("0.75", "0.5", "1.0") == tuple(on_id[f"realised_tpr{x}"] for x in ("", "_low", "_high"))
    assert artifact.id.heads["msp"].misclassification.auroc == float(
        on_id["misclassification_auroc"]
    )
    assert "0.25" == on_id["misclassification_auroc_low"]
    assert ["", ""] == [on_id["auroc"], on_id["auroc_low"]]


def test_groups_and_corruptions_have_their_own_numbers(artifact: ArtifactResult) -> None:
    """A group counts its sets, here that of files; a corrupted set has its own rates."""
    by_key = {(row["set"], row["head"]): row for row in rows(artifact)}

    everything, blurred = by_key["all", "energy"], by_key["blur", "energy"]
    assert artifact.groups["all"].metrics["energy"].auroc == float(everything["auroc"])
    assert "1" == everything["n"]
    assert ("3", "4", "0.5", "0.1", "0.3") == tuple(
        blurred[name] for name in ("strength", "n", "accuracy", "flagged", "auroc")
    )
    assert "" == blurred["expected_calibration_error"]


def test_a_shifted_set_has_rows_of_its_own(artifact: ArtifactResult) -> None:
    """Its rates by head, and then each OOD set against it and the ID images together."""
    found = [r for r in rows(artifact) if "msp" == r["head"]]
    (shifted,) = [r for r in found if r["kind"] == "shifted"]
    (full,) = [r for r in found if r["kind"] == "full-spectrum"]

    result = artifact.shifted["night"]
    rates = ("accuracy", "mean_max_probability", "expected_calibration_error")
    assert [repr(getattr(result, rate)) for rate in rates] == [shifted[rate] for rate in rates]
    assert ("3", "training=3", "") == (shifted["n"], shifted["seen"], shifted["shifted"])
    assert repr(2 / 3) == shifted["flagged"]
    assert ("1.0", "0.125", "1.0") == tuple(
        shifted[f"accepted_accuracy{end}"] for end in ("", "_low", "_high")
    )
    assert ("0.25", "0.75") == (shifted["accuracy_low"], shifted["accuracy_high"])
    assert ("night", "2", "true") == (full["shifted"], full["n"], full["is_primary"])
    pair = result.full_spectrum["=near"].metrics["msp"]
    assert (repr(pair.auroc), repr(pair.aupr_in)) == (full["auroc"], full["aupr_in"])
    assert ("0.5", "0.9", "") == (full["auroc_low"], full["auroc_high"], full["flagged"])


@pytest.mark.parametrize("name", ["=1+1", "@x", "-x", "a,b", 'a"b', "a\nb", "a\rb"])
def test_odd_names_stay_in_their_cell(artifact: ArtifactResult, name: str) -> None:
    """No name becomes a formula or another row."""
    found = rows(replace(artifact, name=name))

    assert 18 == len(found)
    assert 1 == len({row["model"] for row in found})
    assert found[0]["model"][0] not in "=@-"
    assert "msp" == found[1]["head"]
