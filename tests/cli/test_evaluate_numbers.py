"""`edge-ood evaluate --json` against scikit-learn and pytorch-ood on the tables of `score`."""

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from typer.testing import CliRunner

from edge_ood.cli.app import app

ROUNDING = 1e-12  # sums of a few thousand float64 ratios
SETS = ("near", "far")
Table = dict[str, NDArray[Any]]


def run(*arguments: object) -> None:
    command = [*map(str, arguments), "--provider", "cpu", "--batch-size", "64"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert 0 == result.exit_code, result.output


@pytest.fixture(scope="module")
def tables(
    artifact_path: Path, digit_folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Table]:
    """The columns that `score` writes for the ID images and for each OOD set."""
    folder = tmp_path_factory.mktemp("tables")
    found = {}
    for name in ("test", *SETS):
        output = folder / f"{name}.csv"
        run("score", artifact_path, digit_folders / name, "--output", output)
        with output.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found[name] = {column: np.array([row[column] for row in rows]) for column in rows[0]}
    return found


@pytest.fixture(scope="module")
def document(
    artifact_path: Path, digit_folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What `evaluate --json` says about the artefact."""
    output = tmp_path_factory.mktemp("evaluated") / "evaluation.json"
    sets = [argument for name in SETS for argument in (f"--{name}", digit_folders / name)]
    run("evaluate", artifact_path, "--id", digit_folders / "test", *sets, "--json", output)
    model: dict[str, Any] = json.loads(output.read_text("utf-8"))["models"][0]
    return model


def pooled(tables: dict[str, Table], name: str, head: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores of the ID images and of one OOD set, and which of them are OOD."""
    inside, outside = (tables[s][head].astype(np.float32) for s in ("test", name))
    is_ood = np.repeat([False, True], [len(inside), len(outside)])
    return np.concatenate([inside, outside]).astype(np.float64), is_ood


@pytest.mark.parametrize("name", SETS)
def test_ranking_metrics_are_scikit_learns(
    tables: dict[str, Table], document: dict[str, Any], name: str
) -> None:
    """Every metric of every head, from the scores in the table."""
    for head in document["heads"]:
        scores, is_ood = pooled(tables, name, head)
        alarms, recall, _ = roc_curve(is_ood, scores, drop_intermediate=False)
        flagged, accepted, _ = roc_curve(~is_ood, -scores, drop_intermediate=False)
        expected = {
            "n_id": (~is_ood).sum(),
            "n_ood": is_ood.sum(),
            "auroc": roc_auc_score(is_ood, scores),
            "aupr_in": average_precision_score(~is_ood, -scores),
            "aupr_out": average_precision_score(is_ood, scores),
            "fpr95_id_positive": flagged[np.argmax(accepted >= 0.95)],
            "fpr95_ood_positive": alarms[np.argmax(recall >= 0.95)],
            "detection_error": ((1 - recall + alarms) / 2).min(),
        }

        assert expected == pytest.approx(document["ood"][name]["metrics"][head], abs=ROUNDING)


@pytest.mark.parametrize("name", SETS)
def test_decisions_are_those_of_the_table(
    tables: dict[str, Table], document: dict[str, Any], name: str
) -> None:
    """Realised TPR, flagged and accuracy are means of its columns."""
    true = np.array([Path(path).parent.name for path in tables["test"]["path"]])
    assert (tables["test"]["label"] == true).mean() == document["id"]["accuracy"]

    for head in document["heads"]:
        flags = {s: tables[s][f"{head}_is_ood"] == "true" for s in ("test", name)}
        assert (~flags["test"]).mean() == document["id"]["heads"][head]["realised_tpr"]
        assert flags[name].mean() == document["ood"][name]["flagged"][head]


@pytest.mark.parametrize("name", SETS)
def test_pytorch_ood_agrees(tables: dict[str, Table], document: dict[str, Any], name: str) -> None:
    """AUROC and both FPR95 are theirs, and both AUPR but for the trapezoids that they take."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("pytorch_ood.metrics")
    import torch

    for head in document["heads"]:
        scores, is_ood = pooled(tables, name, head)
        theirs, turned = (
            library.OODMetrics()
            .update(torch.from_numpy(s), torch.from_numpy(-m.astype(int)))
            .compute()
            for s, m in ((scores, is_ood), (-scores, ~is_ood))
        )
        ours = document["ood"][name]["metrics"][head]

        assert theirs["AUROC"] == pytest.approx(ours["auroc"], abs=ROUNDING)
        assert theirs["FPR95TPR"] == pytest.approx(ours["fpr95_ood_positive"], abs=ROUNDING)
        assert turned["FPR95TPR"] == pytest.approx(ours["fpr95_id_positive"], abs=ROUNDING)
        assert theirs["AUPR-IN"] == pytest.approx(ours["aupr_in"], abs=0.005)
        assert theirs["AUPR-OUT"] == pytest.approx(ours["aupr_out"], abs=0.005)


def test_every_rate_lies_in_its_interval(document: dict[str, Any]) -> None:
    """Of every head on every set and group of sets, from real scores."""
    seen = 0
    for result in (*document["ood"].values(), *document["groups"].values()):
        for head, intervals in result["intervals"].items():
            rates = {**result["metrics"][head]}
            rates.setdefault("flagged", result.get("flagged", {}).get(head))
            for name, interval in intervals.items():
                assert 0 <= interval["low"] <= rates[name] <= interval["high"] <= 1
                seen += 1

    assert seen == 7 * len(document["heads"]) * (len(SETS) + 3)
