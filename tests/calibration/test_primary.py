"""The rule by which a score takes the place of the default, on scores whose AUROC is known."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edge_ood.calibration.primary import PrimaryChoice, check_evidence, choose_primary
from edge_ood.errors import CalibrationError

N_ID, N_OOD = 400, 100


def chosen(**aurocs: tuple[float, float]) -> PrimaryChoice:
    """The choice among candidates with these AUROC over near and far images; the first is default.

    All rank the ID images alike, 0 to N - 1. OOD images of AUROC a lie between two of them, above
    a share a.
    """
    id_scores = {name: np.arange(N_ID, dtype=np.float32) for name in aurocs}
    ood_scores = {
        group: {
            name: np.full(N_OOD, round(N_ID * values[index]) - 0.5, np.float32)
            for name, values in aurocs.items()
        }
        for index, group in enumerate(("near", "far"))
    }
    return choose_primary(next(iter(aurocs)), id_scores, ood_scores)


@pytest.mark.parametrize(
    ("rival", "is_taken", "why"),
    [
        ((0.93, 0.93), True, "over near and far images is 93.00%, not 90.00%"),
        ((0.9125, 0.9125), True, "is 91.25%, not 90.00%"),
        ((0.925, 0.9), False, "but +0.00 over far images, expected 1 above or more"),
        ((0.91, 0.905), False, "0.75 points of mean AUROC above it, expected 1 above or more"),
        ((0.85, 0.9), False, "2.50 points of mean AUROC below it"),
        ((0.9925, 0.8925), False, "4.25 points of mean AUROC above it, but -0.75 over far images"),
        ((0.8925, 1), False, "but -0.75 over near images"),
    ],
)
def test_only_what_is_better_in_every_group_is_taken(
    rival: tuple[float, float], is_taken: bool, why: str
) -> None:
    """By 1 point or more."""
    choice = chosen(default=(0.9, 0.9), rival=rival)

    assert ("rival" if is_taken else "default") == choice.primary
    assert "default" == choice.default
    assert why in choice.why
    near, far = rival
    assert {"default": {"near": 0.9, "far": 0.9}, "rival": {"near": near, "far": far}} == {
        name: pytest.approx(row) for name, row in choice.auroc.items()
    }


def test_outliers_alone_never_choose() -> None:
    """However well a score finds them, it must find more synthetic images than the default."""
    choice = chosen(default=(0.6, 0.9), near=(1, 0.9), both=(0.7, 0.95))

    assert "both" == choice.primary


def test_the_largest_mean_of_those_allowed_is_taken() -> None:
    """In whatever order they come; one that is better and not allowed is passed over."""
    choice = chosen(default=(0.8, 0.8), good=(0.9, 0.9), best=(0.95, 0.9), banned=(1, 0.79))

    assert "best" == choice.primary
    assert choice.why.startswith("'best' decides, not 'default'")


def test_a_difference_that_may_be_chance_changes_nothing() -> None:
    """Two points that few ID images, others for each score, make: their draws reach below 0."""
    id_scores = {"default": np.arange(100.0), "rival": np.roll(np.arange(100.0), 50)}
    groups = {g: {"default": np.full(100, 89.5), "rival": np.full(100, 91.5)} for g in "ab"}

    choice = choose_primary("default", id_scores, groups)

    assert "default" == choice.primary
    assert "2.00 points of mean AUROC above it, which may be chance (95% interval -" in choice.why


def test_aurocs_are_those_of_scikit_learn() -> None:
    """Ties and all, in each group; the sentence has their means."""
    generator = np.random.default_rng(0)
    id_scores = {name: generator.integers(0, 20, 300) / 1.0 for name in "ab"}
    groups = {
        group: {
            "a": generator.integers(2, 22, 200) / 1.0,
            "b": generator.integers(8, 28, 200) / 1.0,
        }
        for group in ("near", "far")
    }
    expected = {
        name: {
            group: roc_auc_score(
                np.repeat([0, 1], [300, 200]), np.concatenate([id_scores[name], scores[name]])
            )
            for group, scores in groups.items()
        }
        for name in "ab"
    }

    choice = choose_primary("a", id_scores, groups)

    assert expected == {name: pytest.approx(row) for name, row in choice.auroc.items()}
    assert "b" == choice.primary
    means = [np.mean(list(expected[name].values())) for name in "ba"]
    assert "is {:.2%}, not {:.2%} (95% interval".format(*means) in choice.why


def test_a_score_that_is_no_number_counts_as_the_largest() -> None:
    """As an artefact flags it; an infinite one is no smaller."""
    id_scores = {name: np.arange(200.0) for name in ("default", "rival")}
    groups = {
        group: {"default": np.full(100, 99.5), "rival": np.array([np.nan, np.inf] * 50)}
        for group in ("near", "far")
    }

    choice = choose_primary("default", id_scores, groups)

    assert {"near": 1.0, "far": 1.0} == choice.auroc["rival"]
    assert "rival" == choice.primary


def test_too_few_images_are_no_evidence() -> None:
    """From 100 on they are."""
    check_evidence("outliers", 100)

    with pytest.raises(CalibrationError, match="99 outliers are left to choose by, expected 100"):
        check_evidence("outliers", 99)


def test_candidates_that_rank_upside_down_are_named() -> None:
    """By the mean over groups: 0.45 is below chance, 0.55 is not; without evidence nobody is."""
    auroc = {"energy": {"near": 0.3, "far": 0.6}, "msp": {"near": 0.3, "far": 0.8}}

    (said,) = PrimaryChoice("msp", "msp", "why", auroc).warnings

    assert "upside down, by the images that choose: 'energy' (45.0%);" in said
    assert () == PrimaryChoice("msp", "msp", "why").warnings
