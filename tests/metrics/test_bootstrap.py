"""Bootstrap against SciPy's, scikit-learn's weighted metrics, closed forms and simulations."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from edge_ood.errors import InputError
from edge_ood.metrics import bootstrap, detection
from edge_ood.metrics.resamples import Resamples, Strata

RATES = [
    "auroc",
    "aupr_in",
    "aupr_out",
    "fpr95_id_positive",
    "fpr95_ood_positive",
    "detection_error",
]
ROUNDING = 1e-12  # both sides sum at most a few hundred float64 ratios
LEVEL = 0.95


def sample(seed=0, n_id=60, n_ood=40, shift=1.5):
    """Normal scores of ID images and, shifted, of OOD images."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, n_id), rng.normal(shift, 1, n_ood)


def draws(n_id=60, n_ood=40, count=100, seed=0):
    return Resamples("", n_id, count, seed), Resamples("far", n_ood, count, seed)


def test_a_resample_is_drawn_with_replacement():
    """As many images as there are, each as often as a binomial variable says."""
    times = Resamples("far", 500, 400, 0).times(range(400))

    assert (times.sum(axis=1) == 500).all()
    assert 1 == times.mean()
    assert times.var() == pytest.approx(1 - 1 / 500, rel=0.02)
    shares = [(times == k).mean() for k in range(4)]
    np.testing.assert_allclose(shares, stats.binom.pmf(range(4), 500, 1 / 500), atol=0.005)


def test_draws_depend_on_name_size_and_seed_alone():
    """Every replicate is the same whenever it is asked for; another name or seed gives others."""
    images = Resamples("far", 50, 10, 0)
    whole = images.times(range(10))

    np.testing.assert_array_equal(whole[3:5], images.times(range(3, 5)))
    np.testing.assert_array_equal(whole, Resamples("far", 50, 99, 0).times(range(10)))
    for other in (Resamples("near", 50, 10, 0), Resamples("far", 50, 10, 1)):
        assert (whole != other.times(range(10))).any(axis=1).all()


def test_strata_are_drawn_each_by_itself():
    """Side by side, each as often as it has images, and as it is drawn alone."""
    known, moved = Resamples("", 50, 10, 0), Resamples("night", 20, 10, 0)
    both = Strata((known, moved))

    times = both.times(range(2, 6))

    assert (70, 10) == (both.n, both.count)
    np.testing.assert_array_equal(known.times(range(2, 6)), times[:, :50])
    np.testing.assert_array_equal(moved.times(range(2, 6)), times[:, 50:])
    assert (times[:, 50:].sum(axis=1) == 20).all()


def test_a_name_that_is_not_utf8_is_a_name():
    """Names come from disks."""
    assert 5 == Resamples("\udcff", 5, 1, 0).times(range(1)).sum()


@pytest.mark.parametrize("numbers", [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_nothing_to_draw_is_refused(numbers):
    """Images and replicates are at least one, a seed is not negative."""
    with pytest.raises(InputError, match="expected at least 1, 1 and 0"):
        Resamples("far", *numbers)


def test_every_image_once_is_the_metric_itself(monkeypatch):
    """With weights of one, replicates are `pair_metrics` to the bit."""
    monkeypatch.setattr(
        Resamples, "times", lambda self, chunk: np.ones((len(chunk), self.n), np.uint8)
    )
    inside, outside = (scores.round(1) for scores in sample())
    expected = detection.pair_metrics(inside, outside)

    found = bootstrap.pair_replicates({"energy": (inside, outside)}, *draws(count=3))["energy"]

    assert RATES == list(found)
    for name, replicates in found.items():
        assert [getattr(expected, name)] * 3 == replicates.tolist()


def test_replicates_are_metrics_of_the_drawn_images():
    """Each equals `pair_metrics` of the scores, repeated as often as they were drawn."""
    inside, outside = (scores.round(1) for scores in sample())
    id_images, ood_images = draws(count=7)
    id_times, ood_times = id_images.times(range(7)), ood_images.times(range(7))

    found = bootstrap.pair_replicates({"energy": (inside, outside)}, id_images, ood_images)

    for i in range(7):
        drawn = detection.pair_metrics(
            np.repeat(inside, id_times[i]), np.repeat(outside, ood_times[i])
        )
        for name, replicates in found["energy"].items():
            assert getattr(drawn, name) == pytest.approx(replicates[i], abs=ROUNDING)


def test_small_chunks_change_nothing(monkeypatch):
    """Replicates are the same one by one as all at once, and scores do not see each other."""
    first, second = sample(1), sample(2)
    together = bootstrap.pair_replicates({1: first, 2: second}, *draws(count=9))
    monkeypatch.setattr(bootstrap, "_ELEMENTS_OF_A_CHUNK", 1)

    alone = bootstrap.pair_replicates({2: second}, *draws(count=9))

    for name in RATES:
        np.testing.assert_array_equal(together[2][name], alone[2][name])


@pytest.mark.parametrize("name", RATES)
def test_quantiles_and_deviation_equal_scipys(name):
    """SciPy's percentile interval and standard error, up to the error of 4,000 replicates."""
    inside, outside = sample(5)

    def metric(of_id, of_ood):
        return getattr(detection.pair_metrics(of_id, of_ood), name)

    theirs = stats.bootstrap(
        (inside, outside),
        metric,
        n_resamples=2000,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(0),
    )
    found = bootstrap.pair_replicates({0: (inside, outside)}, *draws(count=4000))[0][name]

    deviation = theirs.standard_error
    interval = bootstrap.percentile_interval(found, LEVEL)
    assert deviation == pytest.approx(found.std(ddof=1), rel=0.08)
    np.testing.assert_allclose(interval, theirs.confidence_interval, atol=0.25 * deviation)


@pytest.mark.parametrize("seed", range(3))
def test_deviation_of_auroc_is_delongs(seed):
    """The closed form of DeLong et al. 1988: variances of each image's share of pairs won."""
    inside, outside = sample(seed, 300, 200)
    won = (outside[:, None] > inside).astype(float)
    variance = won.mean(0).var(ddof=1) / 300 + won.mean(1).var(ddof=1) / 200

    found = bootstrap.pair_replicates({0: (inside, outside)}, *draws(300, 200, 2000))[0]["auroc"]

    assert math.sqrt(variance) == pytest.approx(found.std(ddof=1), rel=0.06)


def test_deviation_of_a_difference_is_delongs():
    """The closed form for two scores of the same images, far below the error of each."""
    inside, outside = sample(0, 200, 200)
    noise = np.random.default_rng(9).normal(0, 0.3, 400)
    pairs = {"plain": (inside, outside), "noisy": (inside + noise[:200], outside + noise[200:])}
    plain, noisy = ((there[:, None] > here).astype(float) for here, there in pairs.values())
    variance = sum((plain - noisy).mean(axis).var(ddof=1) / 200 for axis in (0, 1))

    found = bootstrap.pair_replicates(pairs, *draws(200, 200, 2000))

    difference = found["plain"]["auroc"] - found["noisy"]["auroc"]
    assert math.sqrt(variance) == pytest.approx(difference.std(ddof=1), rel=0.06)
    assert math.sqrt(variance) < 0.4 * found["plain"]["auroc"].std()


def test_misclassification_replicates_are_scikit_learns():
    """Wrong against right among the drawn images, with their counts as weights."""
    rng = np.random.default_rng(3)
    scores, is_right = rng.normal(size=60).round(1), rng.random(60) < 0.8
    images = Resamples("", 60, 20, 0)
    expected = [
        (
            roc_auc_score(~is_right, scores, sample_weight=w),
            average_precision_score(is_right, -scores, sample_weight=w),
            average_precision_score(~is_right, scores, sample_weight=w),
        )
        for w in images.times(range(20))
    ]

    found = bootstrap.misclassification_replicates(scores, is_right, images)

    assert ["auroc", "aupr_right", "aupr_wrong"] == list(found)
    np.testing.assert_allclose(np.transpose(list(found.values())), expected, atol=ROUNDING)


def test_a_resample_without_mistakes_has_no_metric():
    """One wrong image is left out of 36 % of the resamples; those are NaN and give no interval."""
    is_right = np.arange(50) > 0
    images = Resamples("", 50, 200, 0)
    drawn = images.times(range(200))[:, 0] > 0

    found = bootstrap.misclassification_replicates(np.arange(50.0), is_right, images)

    for replicates in found.values():
        np.testing.assert_array_equal(drawn, ~np.isnan(replicates))
        assert np.isnan(bootstrap.logit_interval(0.5, replicates, LEVEL)).all()
        assert np.isnan(bootstrap.percentile_interval(replicates, LEVEL)).all()


def test_means_are_weighted_means():
    """Over all images, over some, and over none, which is NaN."""
    rng = np.random.default_rng(4)
    values, some = rng.random(30), np.arange(30) < 20
    images = Resamples("", 30, 8, 0)
    times = images.times(range(8))
    wanted = {
        "all": (values, np.ones(30, bool)),
        "some": (values, some),
        "none": (values, np.zeros(30, bool)),
    }

    found = bootstrap.mean_replicates(wanted, images)

    np.testing.assert_allclose(found["all"], [np.average(values, weights=w) for w in times])
    np.testing.assert_allclose(
        found["some"], [np.average(values[some], weights=w[some]) for w in times]
    )
    assert np.isnan(found["none"]).all()


def test_images_that_are_not_averaged_may_be_nan():
    """A value that is not among the images does not spoil the mean of the others."""
    images = Resamples("", 3, 5, 0)

    found = bootstrap.mean_replicates({0: ([0.5, 0.5, math.nan], [True, True, False])}, images)

    assert {0.5} == set(found[0][~np.isnan(found[0])])


def test_logit_interval_by_hand():
    """Rate 0.8 with replicates of deviation 0.04: logit 1.386 -+ 1.96 * 0.25."""
    replicates = 0.8 + 0.04 * np.array([-1.0, 0.0, 1.0])
    ends = np.log(4) + 1.959964 * np.array([-0.25, 0.25])

    found = bootstrap.logit_interval(0.8, replicates, LEVEL)

    np.testing.assert_allclose(found, 1 / (1 + np.exp(-ends)), atol=1e-7)


@pytest.mark.parametrize("rate", [0.0, 1.0, math.nan])
def test_no_logit_interval_at_the_ends(rate):
    """What never varies says nothing about how near the true rate is to 0 or 1."""
    assert np.isnan(bootstrap.logit_interval(rate, np.full(100, rate), LEVEL)).all()


def test_a_few_undefined_replicates_are_left_out():
    """Four of a hundred are NaN; the quantiles are those of the others."""
    replicates = np.append(np.linspace(0, 1, 96), [math.nan] * 4)

    found = bootstrap.percentile_interval(replicates, LEVEL)

    np.testing.assert_allclose(found, [0.025, 0.975])


def test_a_handful_of_replicates_has_no_quantiles():
    """At 95 % one in forty lies beyond each end."""
    few, enough = (bootstrap.percentile_interval(np.linspace(0, 1, n), LEVEL) for n in (39, 40))

    assert np.isnan(few).all()
    np.testing.assert_allclose(enough, [0.025, 0.975])


@pytest.mark.parametrize(
    ("shift", "truth"),
    [
        (1.5, {"auroc": stats.norm.cdf(1.5 / 2**0.5), "fpr95_id_positive": 0.5576}),
        (4.0, {"auroc": stats.norm.cdf(4.0 / 2**0.5)}),
    ],
)
def test_intervals_hold_their_level(shift, truth):
    """Over 300 test sets of normal scores, nominal 95 % intervals hold the truth in 92 to 98.5 %.

    The false-positive rate is that of N(0, 1) and N(1.5, 1): Phi(1.645 - 1.5).
    """
    held = dict.fromkeys(truth, 0)
    proper = 0
    for seed in range(300):
        inside, outside = sample(seed, 100, 100, shift)
        point = detection.pair_metrics(inside, outside)
        if point.auroc == 1:
            continue
        proper += 1
        found = bootstrap.pair_replicates({0: (inside, outside)}, *draws(100, 100, 100, seed))[0]
        for name, rate in truth.items():
            logit = bootstrap.logit_interval(getattr(point, name), found[name], LEVEL)
            quantiles = bootstrap.percentile_interval(found[name], LEVEL)
            low, high = quantiles if name.startswith("fpr95") else logit
            held[name] += low <= rate <= high

    assert all(0.92 <= count / proper <= 0.985 for count in held.values()), (held, proper)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        (np.zeros(59), "59 scores of 'known', expected 60"),
        (np.append(np.zeros(59), math.nan), "1 of 60 scores of 'known' are NaN"),
    ],
)
def test_scores_of_other_images_are_refused(inside, message):
    """Their number is that of the draws, and none is NaN."""
    images = Resamples("known", 60, 5, 0)
    with pytest.raises(InputError, match=message):
        bootstrap.pair_replicates({0: (inside, np.zeros(40))}, images, draws()[1])
