"""Explanations in words, of results that were written down by hand."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from edge_ood.runtime.explanation import ClassAnswer, HeadAnswer
from edge_ood.runtime.explanation_text import agreement, decision, feeding, nearness, where
from report_pages.explanations import CLASSES, HEADS, make_explanation

ENERGY = HEADS[1]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (ENERGY, "flagged: p 0.0400 by energy, at most 0.05 is flagged"),
        (
            replace(ENERGY, is_ood=False, pvalue=0.2),
            "accepted: p 0.2000 by energy, above 0.05 is accepted",
        ),
        (replace(ENERGY, pvalue=1e-9), "flagged: p <0.0001 by energy, at most 0.05 is flagged"),
        (
            replace(ENERGY, manual=True),
            "flagged: score -2 by energy, above the manual threshold -4",
        ),
        (
            replace(ENERGY, manual=True, score=-5, is_ood=False),
            "accepted: score -5 by energy, at most the manual threshold -4",
        ),
        (replace(ENERGY, score=float("nan")), "flagged: the score of energy is no finite number"),
    ],
)
def test_the_decision_has_its_reason(head: HeadAnswer, reason: str) -> None:
    """By p-value, by a manual threshold, or for want of a number."""
    found = make_explanation(heads=(head,))

    assert f"{reason}; label cat, probability 75.0%" == decision(found)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((True, True, True), "all 3 scores flag it"),
        ((False, False, False), "all 3 scores accept it"),
        ((True, False, False), "scores disagree: msp flags it, energy and gen accept it"),
        ((True, True, False), "scores disagree: msp and energy flag it, gen accepts it"),
    ],
)
def test_scores_that_disagree_are_named(flags: tuple[bool, ...], expected: str) -> None:
    """In the order of the table."""
    heads = tuple(replace(h, is_ood=flag) for h, flag in zip(HEADS, flags, strict=True))

    assert expected == agreement(make_explanation(heads=heads))


def test_one_score_has_nobody_to_agree_with() -> None:
    """It is not called all of them."""
    assert "the only score flags it" == agreement(make_explanation(heads=(ENERGY,)))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.0, 0.0, 40.0, 20.0), "the network saw all of it, as 16 x 16 px"),
        (
            (10.0, 0.0, 30.0, 20.0),
            "the network saw the central 20 x 20 px as 16 x 16 px, 50% of its area",
        ),
    ],
)
def test_what_was_cut_off_is_said(box: tuple[float, ...], expected: str) -> None:
    """As a share of the image."""
    assert f"the image has 40 x 20 px; {expected}" == feeding(make_explanation(seen_box=box))


@pytest.mark.parametrize(
    ("nearest", "expected"),
    [
        ("cat", "nearest class: cat, by the distance of mahalanobis"),
        (
            "dog",
            "nearest class: dog, by the distance of mahalanobis, although the label is cat",
        ),
    ],
)
def test_the_nearest_class_may_not_be_the_label(nearest: str, expected: str) -> None:
    """Then both are named."""
    answer = ClassAnswer(nearest, 1.0, 0.5, 4.0)

    assert expected == nearness(make_explanation(nearest=(answer,)))


def test_without_distances_logits_are_shown() -> None:
    """In the sentence, in the heading and in the rows."""
    answers = tuple(replace(answer, distance=None) for answer in CLASSES)

    lines = str(make_explanation(nearest=answers)).splitlines()

    assert "nearest class: cat, by its logit, as no score measures distances" in lines
    assert "class  logit  probability" in lines
    assert "cat      3.5        75.0%" in lines


@pytest.mark.parametrize(
    ("patch", "place"),
    [
        ((0, 0), "upper left (row 1, column 1 of 8 x 8)"),
        ((3, 4), "middle (row 4, column 5 of 8 x 8)"),
        ((4, 7), "middle right (row 5, column 8 of 8 x 8)"),
        ((7, 3), "lower middle (row 8, column 4 of 8 x 8)"),
    ],
)
def test_the_patch_that_matters_most_is_named(patch: tuple[int, int], place: str) -> None:
    """By the third of the picture that its middle lies in, and by row and column."""
    falls = np.zeros((8, 8))
    falls[patch] = 3
    found = make_explanation(falls=falls)

    expected = f"covering the {place} lowers the score of energy most, from -2 to -5"
    assert f"{expected}, where it would no longer be flagged" == where(found)


def test_a_patch_that_is_not_enough_is_told() -> None:
    """The score without it is -3, and -4 is the threshold."""
    found = make_explanation(falls=np.ones((8, 8)))

    assert where(found).endswith("from -2 to -3, where it would still be flagged")


def test_patches_that_only_lower_the_score_are_not_blamed() -> None:
    """Nothing is made more suspicious by them."""
    found = make_explanation(falls=-np.ones((8, 8)))

    assert "covering no part of the image alone lowers the score of energy" == where(found)
    assert ENERGY.score == found.score_without


def test_the_deciding_score_has_a_mark() -> None:
    """Rows stand as they are given, the most suspicious first."""
    lines = str(make_explanation()).splitlines()

    start = next(i for i, line in enumerate(lines) if line.startswith("---")) + 1
    rows = [line.split() for line in lines[start : start + 3]]
    assert [["msp"], ["energy", "*"], ["gen"]] == [row[:-4] for row in rows]
    assert ["-2", "0.0400", "-4", "flagged"] == rows[1][-4:]


def test_names_cannot_break_a_line() -> None:
    """Line breaks and escape sequences are shown, not obeyed."""
    answer = ClassAnswer("a\nb\x1b[2J", 1.0, 0.5, 4.0)

    text = str(make_explanation(nearest=(answer,), probable=(answer,)))

    assert "\x1b" not in text
    assert 3 == text.count(r"a\nb\x1b[2J")


def test_plain_values_are_json() -> None:
    """Of all numbers but pictures."""
    document = json.loads(json.dumps(make_explanation().to_dict()))

    assert {"label": "cat", "is_ood": True, "image": "/images/odd.png"}.items() <= document.items()
    assert ["msp", "energy", "gen"] == [head["name"] for head in document["heads"]]
    assert 3 == document["falls"][1][6]


def test_it_is_a_data_frame_and_is_pickled() -> None:
    """As all results are."""
    pytest.importorskip("pandas")
    found = make_explanation()

    assert ["msp", "energy", "gen"] == list(found.to_pandas()["name"])
    assert str(found) == str(pickle.loads(pickle.dumps(found)))
