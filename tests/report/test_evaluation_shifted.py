"""Shifted images on the page of an evaluation, and in its figures."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.report import evaluation_drawings
from edge_ood.report.evaluation_drawings import drawings
from edge_ood.report.evaluation_figures import confidence_figure
from edge_ood.report.evaluation_page import evaluation_page
from edge_ood.report.palette import ID_COLOUR

SETS = ("night", "rain")


@pytest.fixture(scope="module")
def evaluation(make_evaluation: Callable[..., Evaluation]) -> Evaluation:
    """An artefact with two heads on two OOD sets and two shifted ones."""
    return make_evaluation(shifted=SETS)


@pytest.fixture
def html(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its page, without figures."""
    return page_of(evaluation, monkeypatch)


def page_of(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page of an evaluation without figures, which take nearly all the time."""
    monkeypatch.setattr("edge_ood.report.evaluation_page.svg", lambda *_, **__: "")
    for name in list(vars(evaluation_drawings)):
        if name.endswith("_figure"):
            monkeypatch.setattr(evaluation_drawings, name, lambda *_, **__: None)
    return evaluation_page(evaluation)


def test_the_section_agrees_with_the_document(
    evaluation: Evaluation,
    html: str,
    check_page: Callable[[str], None],
    contents: Callable[[str], Any],
    wrong_fields: Callable[[str, Any], list[tuple[str, str]]],
) -> None:
    """Every number is a field, and every rate of a shifted set is shown."""
    document = json.loads(json.dumps(evaluation.to_json()))
    page = contents(html)

    check_page(html)
    assert [] == wrong_fields(html, document)
    texts = [text.replace("FPR95", "") for text in page.numbers]
    assert [] == [text for text in texts if re.search(r"\d", text)]
    shown = {pointer for pointer, _, _ in page.fields}
    for name in SETS:
        at = f"#/models/0/shifted/{name}"
        rates = ("n", "accuracy", "mean_max_probability", "expected_calibration_error")
        wanted = {f"{at}/{rate}" for rate in rates}
        for head in ("energy", "msp"):
            wanted |= {f"{at}/heads/{head}/{k}" for k in ("flagged", "accepted_accuracy")}
            wanted |= {f"{at}/heads/{head}/intervals/flagged"}
            for ood in ("cats", "noise"):
                pair = f"{at}/full_spectrum/{ood}"
                metrics = ("auroc", "fpr95_id_positive")
                wanted |= {f"{pair}/metrics/{head}/{k}" for k in metrics}
                wanted |= {f"{pair}/intervals/{head}/{k}" for k in metrics}
        assert set() == wanted - shown


def test_each_number_has_its_place(
    evaluation: Evaluation, html: str, contents: Callable[[str], Any]
) -> None:
    """What is flagged stands beside ID and promise; the full spectrum beside ID alone."""
    artifact = evaluation.models[0]
    tables = contents(html).tables
    flags = tables["All heads on night"]
    spectrum = tables["Full spectrum: OOD against ID and night together"]
    night = artifact.shifted["night"]

    headings = ["head", "flagged", "flagged of ID", "promised of ID", "accuracy of accepted"]
    assert headings == flags[0]
    for head, row in zip(artifact.heads, flags[1:], strict=True):
        found, accepted = night.heads[head], artifact.id.heads[head].realised_tpr
        rates = [found.flagged, 1 - accepted, artifact.alpha, found.accepted_accuracy]
        assert row[0].startswith(head)
        assert all(c.startswith(f"{r:.1%}") for c, r in zip(row[1:], rates, strict=True))
    headings = ["AUROC", "AUROC of ID alone"]
    headings += ["FPR95 ID-positive", "FPR95 ID-positive of ID alone"]
    assert ["head", *headings] == spectrum[0]
    of_cats = dict(zip(artifact.heads, spectrum[2:4], strict=True))
    assert [["cats"], ["noise"]] == spectrum[1::3]
    for head, row in of_cats.items():
        both = night.full_spectrum["cats"].metrics[head]
        alone = artifact.ood["cats"].metrics[head]
        rates = [getattr(p, m) for m in ("auroc", "fpr95_id_positive") for p in (both, alone)]
        assert all(c.startswith(f"{r:.1%}") for c, r in zip(row[1:], rates, strict=True))


def test_flags_have_dots_beside_those_of_id(evaluation: Evaluation) -> None:
    """A series for ID images and for each set, and a line at the rate that was promised."""
    artifact = evaluation.models[0]
    (axes,) = drawings(evaluation)["shifted", "digits"].draw().axes

    assert ["ID", *SETS] == [t.get_text() for t in axes.get_legend().get_texts()]
    dots = [
        float(x) for line in axes.lines if line.get_linestyle() == "None" for x in line.get_xdata()
    ]
    on_id = [100 * (1 - artifact.id.heads[head].realised_tpr) for head in artifact.heads]
    moved = [100 * artifact.shifted[n].heads[h].flagged for n in SETS for h in artifact.heads]
    assert [*on_id, *moved] == pytest.approx(dots)
    assert [100 * artifact.alpha] * 2 in [list(line.get_xdata()) for line in axes.lines]
    spans = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    interval = artifact.id.heads["msp"].intervals["realised_tpr"]
    expected = [100 - 100 * interval.high, 100 - 100 * interval.low]
    assert any(expected == pytest.approx(span) for span in spans)


def test_shifted_images_are_among_the_probabilities(evaluation: Evaluation) -> None:
    """In the colour of ID images, since they are of the classes."""
    artifact = evaluation.models[0]
    (axes,) = confidence_figure(artifact).axes

    names = [text.get_text() for text in axes.get_yticklabels()]
    assert ["night", "rain", "cats", "noise"] == names[-4:]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert 100 * artifact.shifted["night"].mean_max_probability == dots[3].get_xdata()[0]
    assert ID_COLOUR == dots[3].get_color()


def test_a_page_without_shifted_images_says_nothing_of_them(
    make_evaluation: Callable[..., Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No empty section, link or figure."""
    made = make_evaluation()

    html = page_of(made, monkeypatch)

    assert 'id="shifted-0"' not in html
    assert ("shifted", "digits") not in drawings(made)


@pytest.mark.parametrize("sets", [{}, {"cats": "near"}])
def test_unlabelled_images_and_no_ood_set_leave_a_sound_page(
    sets: dict[str, str],
    make_evaluation: Callable[..., Evaluation],
    check_page: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No accuracy is claimed, and without OOD sets there is no full spectrum."""
    html = page_of(make_evaluation(shifted=SETS, sets=sets, is_labelled=False), monkeypatch)

    check_page(html)
    assert "/shifted/night/accuracy" not in html
    assert "/accepted_accuracy" not in html
    assert bool(sets) == ("Full spectrum: OOD" in html)
    assert "without labels, so that there is no accuracy" in html


def test_what_weakens_the_numbers_is_said_of_shifted_sets(
    evaluation: Evaluation, contents: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few images, and images that the artefact was made from, above the first table."""
    artifact = evaluation.models[0]
    night = replace(artifact.shifted["night"], n=20, seen={"training": 7})
    changed = replace(artifact, shifted={**artifact.shifted, "night": night})

    html = page_of(replace(evaluation, models=(changed,), allowed_seen=True), monkeypatch)

    fields = contents(html[: html.index("<table")]).fields
    assert ("#/models/0/shifted/night/seen/training", "count", "7") in fields
    assert ("#/models/0/shifted/night", "name", "night") in fields
    assert "Few images" in html
    assert "Few images" not in page_of(evaluation, monkeypatch)


def test_a_shifted_set_is_named_like_nothing_else(
    make_evaluation: Callable[..., Evaluation],
    wrong_fields: Callable[[str, Any], list[tuple[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names with the marks of pointers and markup lead to their own fields."""
    made = make_evaluation(shifted=("a/b", "a~1b", "<i>", "$x$", "all"))

    assert [] == wrong_fields(page_of(made, monkeypatch), made.to_json())
