"""Intervals of an evaluation: closed forms, SciPy, and which rate has which."""

import json
import math
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from scipy import stats

from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.groups import group_results
from edge_ood.evaluation.intervals import with_intervals
from edge_ood.evaluation.measure import (
    measure_id,
    measure_ood,
    measure_shifted,
)
from edge_ood.evaluation.results import ArtifactResult, Bootstrap, GroupMetrics
from edge_ood.evaluation.scored import Scored
from edge_ood.metrics.detection import UndefinedMetricWarning
from edge_ood.metrics.exact_intervals import ranking_bounds

BOOTSTRAP = Bootstrap(replicates=300, level=0.95, seed=0)
NORMAL = 1.959964
N_ID, N_OOD = 200, 150


def scored(scores, *, seed=0, threshold=1.5):
    """Answers with these scores by head, random predictions, and flags above the threshold."""
    n = len(next(iter(scores.values())))
    rng = np.random.default_rng(seed)
    scores = {head: np.float32(values) for head, values in scores.items()}
    return Scored(
        names=[f"#{i}" for i in range(n)],
        classes=("ant", "bee"),
        label_index=rng.integers(0, 2, n),
        confidence=rng.uniform(0.5, 1, n),
        scores=scores,
        pvalues={head: np.full(n, 0.5, np.float32) for head in scores},
        decisions={head: values > threshold for head, values in scores.items()},
    )


def drawn(shift, n, seed):
    return np.random.default_rng(seed).normal(shift, 1, n)


INSIDE = scored({"energy": drawn(0, N_ID, 1), "msp": drawn(0, N_ID, 2)})
LABELS = np.where(np.arange(N_ID) % 10 > 0, INSIDE.label_index, 1 - INSIDE.label_index)
ONE_HEAD = scored({"energy": drawn(0, N_ID, 1)})
OUTSIDE = {
    "svhn": scored({"energy": drawn(1, N_OOD, 3), "msp": drawn(0.5, N_OOD, 4)}),
    "dtd": scored({"energy": drawn(2, 90, 5), "msp": drawn(1, 90, 6)}),
}
MOVED = scored({"energy": drawn(0.7, 80, 10), "msp": drawn(0.2, 80, 11)}, seed=1)
SEPARATED = scored({"energy": drawn(20, 40, 7), "msp": drawn(20, 40, 8)})


def measured(inside, outside):
    """The results of one artefact without intervals; every set is a near one but `far`."""
    ood = {
        name: measure_ood(
            inside, s, group="far" if name == "far" else "near", kind="files", overlap={}
        )
        for name, s in outside.items()
    }
    return ArtifactResult(
        name="oe",
        path="./oe.onnx",
        sha256="",
        n_bytes=1,
        precision="fp32",
        heads=tuple(inside.scores),
        primary="energy",
        alpha=0.05,
        objective="",
        id=measure_id(inside, dict.fromkeys(inside.scores, (1.5, 1.5)), overlap={}),
        ood=ood,
        groups=group_results(ood),
    )


def run(outside, *, inside=INSIDE, labels=LABELS, bootstrap=BOOTSTRAP):
    inside = replace(inside, labels=labels)
    return with_intervals(measured(inside, outside), inside, outside, {}, bootstrap=bootstrap)


def run_shifted(shifted, outside=OUTSIDE, *, bootstrap=BOOTSTRAP):
    """The artefact with one more set, of known images."""
    result = measure_shifted(INSIDE, shifted, outside, overlap={})
    artifact = replace(measured(INSIDE, outside), shifted={"night": result})
    found, _ = with_intervals(artifact, INSIDE, outside, {"night": shifted}, bootstrap=bootstrap)
    return found


def ends(interval):
    return interval.low, interval.high


def exact(count, n):
    """SciPy's Clopper-Pearson interval."""
    found = stats.binomtest(int(count), int(n)).proportion_ci(0.95, method="exact")
    return pytest.approx((found.low, found.high), abs=1e-9)


def auroc_variances(inside, outside):
    """The two parts of the variance of AUROC by DeLong et al. 1988, of ID and of OOD images."""
    won = (outside[:, None] > inside).astype(float)
    return won.mean(0).var(ddof=1) / len(inside), won.mean(1).var(ddof=1) / len(outside)


def on_logit_scale(rate, deviation):
    reach = NORMAL * deviation / (rate * (1 - rate))
    return stats.logistic.cdf(stats.logistic.ppf(rate) + np.array([-reach, reach]))


def test_shares_of_images_have_exact_intervals():
    """Accuracy, TPR, accuracy of accepted and flagged: Clopper-Pearson of their counts."""
    artifact, _ = run(OUTSIDE)
    is_right, accepted = INSIDE.label_index == LABELS, ~INSIDE.decisions["msp"]
    on_id = artifact.id.heads["msp"]

    assert exact(is_right.sum(), N_ID) == ends(artifact.id.intervals["accuracy"])
    assert exact(accepted.sum(), N_ID) == ends(on_id.intervals["realised_tpr"])
    assert exact(is_right[accepted].sum(), accepted.sum()) == ends(
        on_id.intervals["accepted_accuracy"]
    )
    flagged = OUTSIDE["dtd"].decisions["energy"].sum()
    assert exact(flagged, 90) == ends(artifact.ood["dtd"].intervals["energy"]["flagged"])


def test_auroc_has_the_interval_of_delong():
    """On the logit scale, with the standard error of the closed form."""
    artifact, _ = run(OUTSIDE, bootstrap=replace(BOOTSTRAP, replicates=1000))
    parts = auroc_variances(INSIDE.scores["energy"], OUTSIDE["svhn"].scores["energy"])
    rate = artifact.ood["svhn"].metrics["energy"].auroc
    expected = on_logit_scale(rate, math.sqrt(sum(parts)))

    found = ends(artifact.ood["svhn"].intervals["energy"]["auroc"])

    np.testing.assert_allclose(found, expected, atol=0.1 * (expected[1] - rate))


def test_means_over_sets_share_the_id_images():
    """Of two sets alike, drawn apart, the errors from ID images add up, those from OOD cancel."""
    alike = {"one": OUTSIDE["svhn"], "two": OUTSIDE["svhn"]}
    artifact, _ = run(alike, bootstrap=replace(BOOTSTRAP, replicates=1000))
    of_id, of_ood = auroc_variances(INSIDE.scores["energy"], OUTSIDE["svhn"].scores["energy"])
    rate = artifact.groups["all"].metrics["energy"].auroc
    expected = on_logit_scale(rate, math.sqrt(of_id + of_ood / 2))

    found = ends(artifact.groups["all"].intervals["energy"]["auroc"])

    np.testing.assert_allclose(found, expected, atol=0.1 * (expected[1] - rate))


def test_mean_probability_has_the_interval_of_its_standard_error():
    """Also over right and over wrong predictions alone."""
    artifact, _ = run({}, bootstrap=replace(BOOTSTRAP, replicates=1000))
    is_right = INSIDE.label_index == LABELS

    for name, mask in {"": is_right >= 0, "_right": is_right, "_wrong": ~is_right}.items():
        values = INSIDE.confidence[mask]
        expected = on_logit_scale(values.mean(), values.std() / math.sqrt(len(values)))
        found = ends(artifact.id.intervals[f"mean_max_probability{name}"])
        np.testing.assert_allclose(found, expected, atol=0.1 * (expected[1] - values.mean()))


def test_every_rate_of_every_head_has_an_interval_around_it():
    """All fields of the metrics, of single sets, of groups and of mistakes."""
    artifact, _ = run({**OUTSIDE, "far": SEPARATED})
    names = {field.name for field in fields(GroupMetrics)}
    seen = 0

    for result in (*artifact.ood.values(), *artifact.groups.values()):
        for head, intervals in result.intervals.items():
            rates = asdict(result.metrics[head])
            rates.setdefault("flagged", getattr(result, "flagged", {}).get(head))
            assert names == set(intervals)
            for name, interval in intervals.items():
                assert 0 <= interval.low <= rates[name] <= interval.high <= 1
                seen += 1
    for on_id in artifact.id.heads.values():
        rates = asdict(on_id) | asdict(on_id.misclassification)
        assert {
            "realised_tpr",
            "accepted_accuracy",
            "auroc",
            "aupr_right",
            "aupr_wrong",
        } == set(on_id.intervals)
        for name, interval in on_id.intervals.items():
            assert 0 <= interval.low < rates[name] < interval.high <= 1
    assert seen == (3 + 3) * 2 * 7


def test_a_separated_set_has_the_bounds_at_the_end():
    """Resampling would give [1, 1] and [0, 0] however few images there are."""
    artifact, _ = run({"far": SEPARATED})

    intervals = artifact.ood["far"].intervals["energy"]

    for name, interval in intervals.items():
        rate = 1.0 if name == "flagged" else getattr(artifact.ood["far"].metrics["energy"], name)
        if name == "flagged":
            assert exact(40, 40) == ends(interval)
        else:
            assert ranking_bounds(name, rate, n_id=N_ID, n_ood=40, level=0.95) == ends(interval)
    assert intervals == artifact.groups["far"].intervals["energy"]


def test_separated_sets_have_the_mean_of_their_bounds():
    """As if all of them erred alike."""
    artifact, _ = run(
        {"far": SEPARATED, "wide": scored({"energy": drawn(30, 7, 9)})}, inside=ONE_HEAD
    )
    least = [
        [ranking_bounds(name, rate, n_id=N_ID, n_ood=n, level=0.95) for n in (40, 7)]
        for name, rate in (("auroc", 1), ("detection_error", 0))
    ]

    intervals = artifact.groups["all"].intervals["energy"]

    for expected, name in zip(least, ("auroc", "detection_error"), strict=True):
        assert np.mean(expected, axis=0) == pytest.approx(np.array(ends(intervals[name])))


def test_a_separated_set_widens_the_mean():
    """By its share of what its bounds leave open, below the interval of what varies."""
    artifact, _ = run(
        {"far": SEPARATED, "svhn": OUTSIDE["svhn"]}, bootstrap=replace(BOOTSTRAP, replicates=1000)
    )
    parts = auroc_variances(INSIDE.scores["energy"], OUTSIDE["svhn"].scores["energy"])
    rate = (1 + artifact.ood["svhn"].metrics["energy"].auroc) / 2
    low, high = on_logit_scale(rate, math.sqrt(sum(parts)) / 2)
    left_open = 1 - ranking_bounds("auroc", 1, n_id=N_ID, n_ood=40, level=0.95)[0]

    found = ends(artifact.groups["all"].intervals["energy"]["auroc"])

    np.testing.assert_allclose(found, (low - left_open / 2, high), atol=0.1 * (high - rate))


def test_a_false_positive_rate_that_jumps_has_quantiles():
    """They end where the replicates do; on the logit scale the interval would be all of [0, 1]."""
    inside = scored({"energy": np.arange(100.0)})
    far = np.repeat([50, 95.5, 200], [1, 40, 159])
    outside = {"svhn": scored({"energy": far})}
    artifact, _ = run(outside, inside=inside, labels=None)

    low, high = ends(artifact.ood["svhn"].intervals["energy"]["fpr95_id_positive"])

    assert 0.005 == artifact.ood["svhn"].metrics["energy"].fpr95_id_positive
    assert 0 == low
    assert 41 / 200 < high < 0.3


def test_a_false_positive_rate_is_never_surer_than_its_count():
    """Images far from the threshold: only their number tells, as at a threshold that is known."""
    inside = scored({"energy": np.zeros(100)})
    outside = {"svhn": scored({"energy": np.r_[np.full(30, -9.0), np.full(70, 9.0)]})}
    artifact, _ = run(outside, inside=inside, labels=None)

    interval = artifact.ood["svhn"].intervals["energy"]["fpr95_id_positive"]

    assert exact(30, 100) == ends(interval)


def test_mistakes_found_without_exception_have_the_bounds_at_the_end():
    """Right predictions stand for ID images there, and wrong ones for OOD."""
    inside = scored({"energy": np.arange(50.0)})
    labels = np.where(np.arange(50) < 45, inside.label_index, 1 - inside.label_index)
    artifact, _ = run({}, inside=inside, labels=labels)

    found = artifact.id.heads["energy"].intervals

    for name, like in {"auroc": "auroc", "aupr_right": "aupr_in", "aupr_wrong": "aupr_out"}.items():
        assert ranking_bounds(like, 1, n_id=45, n_ood=5, level=0.95) == ends(found[name])


def test_a_false_positive_rate_of_zero_reaches_as_far_as_its_replicates():
    """Its threshold is from a sample: one that lies higher would let OOD images in."""
    inside = scored({"energy": np.arange(100.0)})
    outside = {"svhn": scored({"energy": np.full(2000, 96.5)})}
    artifact, _ = run(outside, inside=inside, labels=None)

    low, high = ends(artifact.ood["svhn"].intervals["energy"]["fpr95_id_positive"])

    assert 0 == artifact.ood["svhn"].metrics["energy"].fpr95_id_positive
    assert (0, 1) == (low, high)


def test_a_useless_score_has_no_detection_error_above_one_half():
    """One half is the chance level."""
    outside = {"svhn": scored({"energy": drawn(-0.2, 60, 5), "msp": drawn(0, 60, 6)})}
    artifact, _ = run(outside)

    for intervals in artifact.ood["svhn"].intervals.values():
        assert intervals["detection_error"].high <= 0.5


@pytest.mark.parametrize("replicates", [1, 2, 39])
def test_a_handful_of_replicates_claims_little(replicates):
    """No quantiles, so none of FPR95; of one replicate no deviation either."""
    artifact, _ = run(
        {**OUTSIDE, "far": SEPARATED}, bootstrap=replace(BOOTSTRAP, replicates=replicates)
    )

    for result in (*artifact.ood.values(), *artifact.groups.values()):
        for intervals in result.intervals.values():
            assert not {"fpr95_id_positive", "fpr95_ood_positive"} & set(intervals)
    assert ("auroc" in artifact.ood["svhn"].intervals["energy"]) == (replicates > 1)


def test_without_labels_there_is_nothing_about_classes():
    """Mean probability and TPR remain."""
    artifact, _ = run(OUTSIDE, labels=None)

    assert ["mean_max_probability"] == list(artifact.id.intervals)
    assert ["realised_tpr"] == list(artifact.id.heads["msp"].intervals)


def test_nothing_accepted_and_nothing_wrong_have_no_intervals():
    """A rate that is NaN is missing from the mapping, and with it from the document."""
    inside = scored({"energy": drawn(9, 50, 1)})
    with pytest.warns(UndefinedMetricWarning):
        artifact, _ = run({}, inside=inside, labels=inside.label_index)

    assert ["realised_tpr"] == list(artifact.id.heads["energy"].intervals)
    assert {"accuracy", "mean_max_probability", "mean_max_probability_right"} == set(
        artifact.id.intervals
    )


def test_one_image_of_each_kind():
    """Everything is at an end of its range, where bounds are wide and nothing is NaN."""
    inside, outside = scored({"energy": [0.0]}), {"far": scored({"energy": [1.0]})}
    artifact, _ = run(outside, inside=inside, labels=None)

    intervals = artifact.ood["far"].intervals["energy"]

    assert pytest.approx((0.025, 1)) == ends(intervals["auroc"])
    document = Evaluation("1", "", (artifact,), BOOTSTRAP, None, False).to_json()
    assert "NaN" not in json.dumps(document)


def test_other_sets_change_nothing():
    """The intervals of a set are the same whatever else is evaluated."""
    both, of_both = run(OUTSIDE)
    alone, of_one = run({"dtd": OUTSIDE["dtd"]})

    assert both.ood["dtd"] == alone.ood["dtd"]
    assert both.id.intervals == alone.id.intervals
    np.testing.assert_array_equal(of_both["dtd"]["msp"], of_one["dtd"]["msp"])


def test_artefacts_are_compared_on_the_same_draws():
    """The same scores under another head of another artefact have the same replicates."""
    _, one = run(OUTSIDE)
    other = scored({"odin": INSIDE.scores["energy"]})
    _, two = run({"svhn": scored({"odin": OUTSIDE["svhn"].scores["energy"]})}, inside=other)

    np.testing.assert_array_equal(one["svhn"]["energy"], two["svhn"]["odin"])
    assert {"svhn": ["energy", "msp"], "dtd": ["energy", "msp"]} == {
        name: list(heads) for name, heads in one.items()
    }


def test_shares_of_shifted_images_have_exact_intervals():
    """Accuracy, flagged and accuracy of accepted; the mean probability has its standard error."""
    labels = np.where(np.arange(80) % 4 > 0, MOVED.label_index, 1 - MOVED.label_index)
    is_right, accepted = MOVED.label_index == labels, ~MOVED.decisions["energy"]
    wide = replace(BOOTSTRAP, replicates=1000)

    found = run_shifted(replace(MOVED, labels=labels), bootstrap=wide).shifted["night"]

    on_head = found.heads["energy"].intervals
    assert exact(60, 80) == ends(found.intervals["accuracy"])
    assert exact(80 - accepted.sum(), 80) == ends(on_head["flagged"])
    assert exact(is_right[accepted].sum(), accepted.sum()) == ends(on_head["accepted_accuracy"])
    values = MOVED.confidence
    expected = on_logit_scale(values.mean(), values.std() / math.sqrt(80))
    np.testing.assert_allclose(
        ends(found.intervals["mean_max_probability"]),
        expected,
        atol=0.1 * (expected[1] - values.mean()),
    )


def test_the_full_spectrum_has_the_interval_of_its_strata():
    """ID and shifted images are two samples: DeLong's variance of ID images, sample by sample."""
    wide = replace(BOOTSTRAP, replicates=1000)
    known, moved = INSIDE.scores["energy"], MOVED.scores["energy"]
    outside = OUTSIDE["svhn"].scores["energy"]
    won = (outside[:, None] > np.r_[known, moved]).astype(float)
    by_known = won.mean(axis=0)
    of_known = sum(
        len(part) * part.var(ddof=1) / 280**2 for part in (by_known[:200], by_known[200:])
    )
    of_ood = won.mean(axis=1).var(ddof=1) / N_OOD

    pair = run_shifted(MOVED, bootstrap=wide).shifted["night"].full_spectrum["svhn"]

    rate = pair.metrics["energy"].auroc
    assert won.mean() == pytest.approx(rate)
    expected = on_logit_scale(rate, math.sqrt(of_known + of_ood))
    np.testing.assert_allclose(
        ends(pair.intervals["energy"]["auroc"]), expected, atol=0.1 * (expected[1] - rate)
    )


def test_every_rate_of_the_full_spectrum_has_an_interval():
    """Of each OOD set, also where no image outscores another; what is flagged there is its own."""
    outside = {**OUTSIDE, "far": SEPARATED}
    found = run_shifted(MOVED, outside).shifted["night"].full_spectrum
    names = {field.name for field in fields(GroupMetrics)} - {"flagged"}

    assert list(outside) == list(found)
    for result in found.values():
        for head, intervals in result.intervals.items():
            assert names == set(intervals)
            rates = asdict(result.metrics[head])
            assert all(i.low <= rates[n] <= i.high for n, i in intervals.items())
    least = ranking_bounds("auroc", 1, n_id=280, n_ood=40, level=0.95)
    assert least == ends(found["far"].intervals["energy"]["auroc"])


def test_shifted_images_change_no_other_interval():
    """Those of the ID images, the OOD sets and the groups are what they are without."""
    alone, _ = run(OUTSIDE, labels=None)

    with_shifted = run_shifted(MOVED)

    for name in ("ood", "groups"):
        assert getattr(alone, name) == getattr(with_shifted, name)
    assert alone.id.intervals == with_shifted.id.intervals


def test_unlabelled_shifted_images_have_no_interval_of_accuracy():
    """What is flagged has one."""
    found = run_shifted(MOVED).shifted["night"]

    assert ["mean_max_probability"] == list(found.intervals)
    assert ["flagged"] == list(found.heads["msp"].intervals)


def test_no_replicates_no_intervals():
    """`--bootstrap 0` leaves results as they were measured."""
    artifact = measured(INSIDE, OUTSIDE)

    found = with_intervals(
        artifact, INSIDE, OUTSIDE, {}, bootstrap=replace(BOOTSTRAP, replicates=0)
    )

    assert (artifact, {}) == found
