"""An evaluation in a notebook: the numbers of its table, and names that are text."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from artefact_answers import HEADS, answers

from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.groups import group_results
from edge_ood.evaluation.measure import measure_id, measure_ood, measure_shifted
from edge_ood.evaluation.results import ArtifactResult, Bootstrap, Interval, Recommendation
from edge_ood.evaluation.scored import Scored

HOSTILE = "<script>alert(1)</script>"


def labelled(scores: list[float]) -> Scored:
    """The same, of images that are all of the first class."""
    return replace(answers(scores), labels=np.zeros(len(scores), np.int64))


@pytest.fixture
def artifact() -> ArtifactResult:
    """Four ID images, two OOD sets of which one has an interval, a shifted set."""
    inside, outside = labelled([0.1, 0.2, 0.3, 0.6]), labelled([0.4, 0.7])
    near = measure_ood(inside, outside, group="far", kind="files", overlap={})
    ood = {
        HOSTILE: replace(near, intervals={"msp": {"auroc": Interval(0.25, 0.75)}}),
        "noise": measure_ood(inside, outside, group="far", kind="synthetic", overlap={}),
    }
    on_id = measure_id(inside, dict.fromkeys(HEADS, (0.5, 0.5)), overlap={})
    on_head = replace(on_id.heads["msp"], intervals={"realised_tpr": Interval(0.5, 0.9)})
    return ArtifactResult(
        name="a",
        path="a.onnx",
        sha256="0",
        n_bytes=1,
        precision="fp32",
        heads=HEADS,
        primary="msp",
        alpha=0.05,
        objective="",
        id=replace(on_id, heads={**on_id.heads, "msp": on_head}),
        ood=ood,
        groups=group_results(ood),
        shifted={"night": measure_shifted(inside, labelled([0.3, 0.55, 0.9]), {}, overlap={})},
    )


@pytest.fixture
def html(artifact: ArtifactResult) -> str:
    """Two artefacts of which one has a hostile name."""
    advice = Recommendation("a", "msp", 0.9, Interval(0.8, 1.0), (), ("Take msp & no other.",))
    models = (artifact, replace(artifact, name=HOSTILE))
    return Evaluation("0", "id", models, Bootstrap(0), advice, False)._repr_html_()


def rows(html: str) -> list[list[str]]:
    """The cells of the first table."""
    table = html.partition("</table>")[0]
    found = [re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", row) for row in table.split("</tr>")[:-1]]
    return [[unescape(cell) for cell in row] for row in found]


def test_every_head_has_a_row_of_every_set(html: str) -> None:
    """By hand: 7 of 8 pairs are in order, and 0.4 is accepted where all of ID is."""
    found = rows(html)

    assert ["set", "images", "head", "AUROC", "FPR95 ID-pos.", "flagged"] == found[0]
    assert ["ID", "4", "energy", "", "", "25.00"] == found[1]
    assert [HOSTILE, "2", "energy", "87.50", "50.00", "50.00"] == found[3]
    assert ["noise", "2", "energy", "87.50", "50.00", "50.00"] == found[5]
    assert ["mean of far, 2 sets", "", "energy", "87.50", "50.00", "50.00"] == found[7]
    assert ["night, shifted", "3", "energy", "", "", "66.67"] == found[9]


def test_the_primary_head_is_marked(html: str) -> None:
    """By a star and in bold, in every set."""
    marked = [row for row in rows(html) if row[2] == "<b>msp *</b>"]

    assert 5 == len(marked)
    assert 10 == html.count("msp *")


def test_intervals_stand_behind_their_rates(html: str) -> None:
    """Of what is flagged of ID images it is the complement of what is accepted."""
    found = rows(html)

    assert "<b>25.00 [10.0-50.0]</b>" == found[2][5]
    assert "<b>87.50 [25.0-75.0]</b>" == found[4][3]


def test_names_of_sets_and_artefacts_are_text(html: str) -> None:
    """And so is the recommendation."""
    assert "<script" not in html
    assert "Take msp &amp; no other." in html
    assert 2 == html.count("<table")
