"""Class Gaussians against scikit-learn, in whatever batches the features arrive."""

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance, shrunk_covariance
from sklearn.decomposition import PCA

from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.errors import CalibrationError, ShapeError

CLASSES = 3
FLOAT64 = 1e-9  # relative; eigenvectors and a pseudo-inverse of well-conditioned 5 x 5 matrices


def sample(rows=60, columns=5, seed=0):
    """Features with unequal scales and correlations, and labels of three separate classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % CLASSES
    mixing = rng.normal(size=(columns, columns)) * np.logspace(-1, 1, columns)
    features = rng.normal(size=(rows, columns)) @ mixing
    return features + 5 * rng.normal(size=(CLASSES, columns))[labels], labels


def fitted(*batches, num_classes=CLASSES):
    """A Gaussian that saw these (features, labels) batches."""
    gaussian = ClassGaussian(num_classes)
    for features, labels in batches:
        gaussian.update(features, labels)
    return gaussian


def reference(features, labels):
    """Class means, and scikit-learn's covariance of the residuals, which divides by N."""
    means = np.stack([features[labels == c].mean(axis=0) for c in range(CLASSES)])
    return means, EmpiricalCovariance().fit(features - means[labels])


def precision_of(statistics):
    """The precision matrix that a whitening matrix stands for."""
    return statistics["whitening"] @ statistics["whitening"].T


def distances(statistics, points):
    """Squared Mahalanobis distances (N, K) through the fitted arrays."""
    z = (points - statistics["centre"]) @ statistics["whitening"]
    return ((z[:, None] - statistics["means"]) ** 2).sum(axis=2)


def assert_same_model(expected, statistics):
    """Compare what does not depend on the signs of eigenvectors."""
    grid = np.random.default_rng(9).normal(size=(7, len(expected["centre"])))
    grid += expected["centre"]
    np.testing.assert_allclose(statistics["centre"], expected["centre"], rtol=FLOAT64)
    np.testing.assert_allclose(precision_of(statistics), precision_of(expected), rtol=FLOAT64)
    np.testing.assert_allclose(distances(statistics, grid), distances(expected, grid), rtol=FLOAT64)


def assert_close_pseudo_inverse(expected, statistics):
    """Compare with a singular covariance's precision, whose small entries are rounding."""
    scale = np.abs(expected.precision_).max()
    np.testing.assert_allclose(
        precision_of(statistics), expected.precision_, rtol=0, atol=1e-7 * scale
    )


def test_precision_is_that_of_scikit_learn():
    """`whitening @ whitening.T` is the precision of the residuals, divided by N."""
    features, labels = sample()
    _, covariance = reference(features, labels)

    statistics = fitted((features, labels)).finish()

    np.testing.assert_allclose(precision_of(statistics), covariance.precision_, rtol=FLOAT64)


def test_means_are_the_whitened_class_means():
    """The centre is the grand mean, and `means` are the class means seen from it, whitened."""
    features, labels = sample(rows=61)
    means, _ = reference(features, labels)

    statistics = fitted((features, labels)).finish()

    np.testing.assert_allclose(statistics["centre"], features.mean(axis=0), rtol=FLOAT64)
    expected = (means - features.mean(axis=0)) @ statistics["whitening"]
    np.testing.assert_allclose(statistics["means"], expected, rtol=FLOAT64)


def test_distances_are_those_of_scikit_learn():
    """Squared distances to every class mean equal scikit-learn's."""
    features, labels = sample()
    means, covariance = reference(features, labels)
    points = np.random.default_rng(1).normal(size=(20, 5)) * 10
    expected = np.stack([covariance.mahalanobis(points - mean) for mean in means], axis=1)

    statistics = fitted((features, labels)).finish()

    np.testing.assert_allclose(distances(statistics, points), expected, rtol=FLOAT64)


def test_one_dimension_by_hand():
    """Residuals +-1, +-3 around means 0 and 10: variance 5, standard deviations count."""
    statistics = fitted(([[-1.0], [1.0], [7.0], [13.0]], [0, 0, 1, 1]), num_classes=2).finish()

    assert [5.0] == statistics["centre"].tolist()
    assert 1 / 5 == pytest.approx(precision_of(statistics).item(), rel=FLOAT64)
    assert [5.0, 5.0] == pytest.approx(distances(statistics, np.array([[5.0]]))[0], rel=FLOAT64)


@pytest.mark.parametrize("size", [1, 7, 60])
def test_batch_size_changes_nothing(size):
    """Streaming in any batch size gives the statistics of one batch."""
    features, labels = sample()
    starts = range(0, 60, size)

    streamed = fitted(*((features[s : s + size], labels[s : s + size]) for s in starts))

    assert_same_model(fitted((features, labels)).finish(), streamed.finish())


def test_order_changes_nothing():
    """Images in another order, sorted by class, give the same statistics."""
    features, labels = sample()
    order = np.argsort(labels, kind="stable")[::-1]

    shuffled = fitted(*((features[[i]], labels[[i]]) for i in order))

    assert_same_model(fitted((features, labels)).finish(), shuffled.finish())


def test_merging_equals_one_pass():
    """Two halves fitted apart, with different origins, merge into the statistics of the whole."""
    features, labels = sample()
    first = fitted((features[:20], labels[:20]))
    second = fitted((features[20:33], labels[20:33]), (features[33:], labels[33:]))

    first.merge(second)

    assert_same_model(fitted((features, labels)).finish(), first.finish())


def test_merging_leaves_the_other_as_it_was():
    """What was merged in can go on by itself."""
    features, labels = sample()
    second = fitted((features, labels))

    empty = ClassGaussian(CLASSES)
    empty.merge(second)
    empty.update(features, labels)

    assert_same_model(fitted((features, labels)).finish(), second.finish())


def test_merging_with_nothing_changes_nothing():
    """An accumulator that saw no image is neutral on either side."""
    features, labels = sample()
    right = fitted((features, labels))
    right.merge(ClassGaussian(CLASSES))
    left = ClassGaussian(CLASSES)
    left.merge(fitted((features, labels)))

    assert_same_model(fitted((features, labels)).finish(), right.finish())
    assert_same_model(fitted((features, labels)).finish(), left.finish())


def test_empty_batch_changes_nothing():
    """A batch without images, even the first, is no information."""
    features, labels = sample()

    gaussian = fitted((features[:0], labels[:0]), (features, labels), (features[:0], labels[:0]))

    assert_same_model(fitted((features, labels)).finish(), gaussian.finish())


def test_large_offsets_do_not_cancel():
    """Features around 1e6 have the covariance of the same features around 0."""
    features, labels = sample()
    # Whole numbers, so that adding the offset is exact and only our own arithmetic is tested.
    features = (64 * features).round()
    expected = precision_of(fitted((features, labels)).finish())

    parts = [(features[s : s + 9] + 1e6, labels[s : s + 9]) for s in range(0, 60, 9)]

    np.testing.assert_allclose(precision_of(fitted(*parts).finish()), expected, rtol=1e-7)


def test_dependent_columns_get_the_pseudo_inverse():
    """Repeated and dead columns: scikit-learn's pseudo-inverse, of the rank that is there."""
    features, labels = sample(columns=4)
    features = np.column_stack([features, features[:, :2], np.zeros((60, 2))])
    _, covariance = reference(features, labels)

    statistics = fitted((features, labels)).finish()

    assert statistics["whitening"].shape == (8, 4)
    assert_close_pseudo_inverse(covariance, statistics)


def test_nearly_equal_columns_are_one_direction():
    """A column that differs from another by a millionth of the largest scale adds no rank."""
    features, labels = sample(columns=4)
    jitter = 1e-6 * np.abs(features).max() * np.random.default_rng(4).normal(size=(60, 1))
    features = np.column_stack([features, features[:, -1:] + jitter])

    assert fitted((features, labels)).finish()["whitening"].shape == (5, 4)


def test_directions_below_the_rounding_of_an_offset_are_left_out():
    """Around 1e4 float32 steps by 1e-3: what moves less is rounding, and has no direction.

    One column moves by 10; the others are constant but for their rounding to float32, so the
    distances are those of the one column, in closed form.
    """
    rng = np.random.default_rng(5)
    labels = np.arange(60) % CLASSES
    moving = 10 * rng.normal(size=60) + 20 * labels
    tiny = 5e-4 * rng.normal(size=(60, 3))
    features = (np.column_stack([moving, tiny]) + 1e4).astype(np.float32)
    means, covariance = reference(features[:, :1].astype(np.float64), labels)
    expected = np.stack([covariance.mahalanobis(features[:, :1] - mean) for mean in means], axis=1)

    statistics = fitted((features[:7], labels[:7]), (features[7:], labels[7:])).finish()

    assert statistics["whitening"].shape == (4, 1)
    np.testing.assert_allclose(distances(statistics, features), expected, rtol=1e-3, atol=1e-3)


def test_few_images_get_the_pseudo_inverse():
    """Nine images of three classes leave six residuals for eight columns."""
    features, labels = sample(rows=9, columns=8)
    _, covariance = reference(features, labels)

    statistics = fitted((features, labels)).finish()

    assert statistics["whitening"].shape == (8, 6)
    assert_close_pseudo_inverse(covariance, statistics)


def test_float32_features_are_summed_in_float64():
    """float32 input gives the statistics of its values, not of a float32 sum."""
    features, labels = sample(rows=3000)
    features, starts = features.astype(np.float32), range(0, 3000, 100)

    batches = [(features[start : start + 100], labels[start : start + 100]) for start in starts]

    streamed = fitted(*batches).finish()

    assert_same_model(fitted((features.astype(np.float64), labels)).finish(), streamed)


def test_class_without_an_image_is_refused():
    """Every class needs a mean."""
    features, labels = sample()

    with pytest.raises(CalibrationError, match="1 of 4 classes have no image"):
        fitted((features, labels), num_classes=4).finish()


def test_nothing_seen_is_refused():
    """An accumulator without images cannot finish."""
    with pytest.raises(CalibrationError, match="3 of 3 classes have no image"):
        ClassGaussian(CLASSES).finish()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_constant_features_are_refused(scale):
    """Classes without any spread leave only rounding, whose inverse means nothing."""
    features, labels = sample()
    means = scale * features[:CLASSES]

    with pytest.raises(CalibrationError, match="all equal"):
        fitted((means[labels], labels)).finish()


def test_features_that_are_not_finite_are_refused():
    """One NaN would spoil every distance."""
    with pytest.raises(CalibrationError, match="not finite"):
        fitted(([[1.0, np.nan]], [0]))


def test_another_number_of_columns_is_refused():
    """Both column counts are named."""
    features, labels = sample()

    with pytest.raises(ShapeError, match="features have 4 columns but earlier ones 5"):
        fitted((features, labels), (features[:, :4], labels))


def test_features_and_labels_must_match():
    """Every row of features has one label."""
    with pytest.raises(ShapeError, match=r"shape \(2, 1\) with 3 labels"):
        fitted(([[1.0], [2.0]], [0, 1, 2]))


@pytest.mark.parametrize("shrinkage", [0.1, 1.0])
def test_shrinkage_is_scikit_learns(shrinkage):
    """Mixed with a multiple of the identity, as `shrunk_covariance` does, also where singular."""
    rng = np.random.default_rng(4)
    labels = np.arange(12) % 2
    features = rng.normal(size=(12, 20)) + labels[:, None]
    gaussian = ClassGaussian(2)
    gaussian.update(features, labels)
    means = np.stack([features[labels == k].mean(axis=0) for k in range(2)])
    residuals = features - means[labels]
    expected = np.linalg.inv(shrunk_covariance(residuals.T @ residuals / 12, shrinkage=shrinkage))

    whitening = gaussian.finish(shrinkage=shrinkage)["whitening"]

    np.testing.assert_allclose(whitening @ whitening.T, expected, rtol=1e-9, atol=1e-12)


def cut_precision(statistics):
    """The precision matrix (D, D) that the arrays of a cut stand for."""
    directions = statistics["whitening"] * np.sqrt(statistics["variance"])
    others = np.eye(len(directions)) - directions @ directions.T
    return precision_of(statistics) + statistics["rest_precision"] * others


@pytest.mark.parametrize("rank", [1, 3, 4])
def test_a_cut_is_scikit_learns_probabilistic_pca(rank):
    """Of the residuals; its variances divide by N - 1."""
    features, labels = sample()
    means, _ = reference(features, labels)
    pca = PCA(rank, svd_solver="full").fit(features - means[labels])

    statistics = fitted((features, labels)).finish(rank=rank)

    expected = pca.get_precision() * len(features) / (len(features) - 1)
    np.testing.assert_allclose(cut_precision(statistics), expected, rtol=FLOAT64)
    assert statistics["explained"] == pytest.approx(pca.explained_variance_ratio_.sum())


def test_a_cut_leaves_the_rest_of_the_means():
    """What the kept directions say of a class mean, and what they do not, make it up."""
    features, labels = sample()
    means, _ = reference(features, labels)

    statistics = fitted((features, labels)).finish(rank=2)

    directions = statistics["whitening"] * np.sqrt(statistics["variance"])
    along = statistics["means"] * np.sqrt(statistics["variance"]) @ directions.T
    expected = means - features.mean(axis=0)
    np.testing.assert_allclose(along + statistics["rest_means"], expected, rtol=FLOAT64)
    np.testing.assert_allclose(statistics["rest_means"] @ directions, 0, atol=FLOAT64)
    assert (5, 2) == statistics["whitening"].shape
    assert (3, 2) == statistics["means"].shape


@pytest.mark.parametrize("rank", [5, 6, 1000])
def test_a_rank_that_keeps_everything_is_no_cut(rank):
    """The arrays are those of the whole covariance."""
    features, labels = sample()

    cut, whole = (fitted((features, labels)).finish(rank=r) for r in (rank, 0))

    assert set(cut) == {"centre", "whitening", "means"}
    assert_same_model(whole, cut)


def test_directions_without_variance_do_not_count_as_cut_off():
    """Two of five columns are constant: three directions are all there is."""
    features, labels = sample()
    features[:, :2] = 7

    assert set(fitted((features, labels)).finish(rank=3)) == {"centre", "whitening", "means"}
    statistics = fitted((features, labels)).finish(rank=2)
    _, covariance = reference(features, labels)
    smallest = np.linalg.eigvalsh(covariance.covariance_)[2]
    assert statistics["rest_precision"] == pytest.approx(1 / smallest)


def wide_features(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features (900, 96) of rank 6 around an offset, as a wide linear layer makes them."""
    labels = generator.integers(0, 3, 900)
    inner = generator.normal(size=(900, 6)) + 3 * generator.normal(size=(3, 6))[labels]
    return 2 + inner @ generator.normal(size=(6, 96)), labels


def test_rounding_to_float16_is_no_information() -> None:
    """Where it alone makes images differ, there is no direction; distances stay what they were."""
    features, labels = wide_features(np.random.default_rng(0))
    rounded = features.astype(np.float16).astype(np.float64)
    found = {}
    for name, array, roundoff in (("exact", features, 0.0), ("half", rounded, 2.0**-11)):
        gaussian = ClassGaussian(3)
        gaussian.update(array, labels, roundoff=roundoff)
        found[name] = gaussian.finish()
    expected = distances(found["exact"], features).min(axis=1)
    nearest = distances(found["half"], rounded).min(axis=1)

    assert (96, 6) == found["exact"]["whitening"].shape == found["half"]["whitening"].shape
    spread = np.subtract(*np.percentile(expected, [75, 25]))
    np.testing.assert_allclose(nearest, expected, atol=0.02 * spread)


def test_who_merges_keeps_the_coarser_rounding() -> None:
    """A part in float16 is enough."""
    features, labels = wide_features(np.random.default_rng(1))
    rounded = features.astype(np.float16)
    parts = [ClassGaussian(3), ClassGaussian(3)]
    parts[0].update(rounded[:400], labels[:400])
    parts[1].update(rounded[400:], labels[400:], roundoff=2.0**-11)

    parts[0].merge(parts[1])

    assert (96, 6) == parts[0].finish()["whitening"].shape


def test_float16_costs_no_direction_that_it_can_tell() -> None:
    """A hundred times the variance of rounding is information."""
    generator = np.random.default_rng(2)
    sizes = np.array([1.0, 0.1, 100 * 2.0**-11])
    features = 1 + generator.normal(size=(3000, 3)) * sizes / 10
    gaussian = ClassGaussian(1)
    gaussian.update(features.astype(np.float16), np.zeros(3000, np.int64), roundoff=2.0**-11)

    assert (3, 3) == gaussian.finish()["whitening"].shape


def wide_sample(smallest):
    """Features (2,000, 300) whose standard deviations go down to the smallest, and labels."""
    rng = np.random.default_rng(3)
    labels = np.arange(2000) % CLASSES
    rotation = np.linalg.qr(rng.normal(size=(300, 300)))[0]
    features = (rng.normal(size=(2000, 300)) * np.geomspace(smallest, 1, 300)) @ rotation
    return features + rng.normal(size=(CLASSES, 300))[labels], labels


def mahalanobis_by_sklearn(features, labels):
    """Squared distances (N, K) to the class means."""
    means, fitted_covariance = reference(features, labels)
    differences = features[:, None] - means
    return np.einsum("nkd,de,nke->nk", differences, fitted_covariance.precision_, differences)


@pytest.mark.parametrize("rank", [0, 250])
def test_a_long_whitening_matrix_fits_in_two_bytes_a_number(rank):
    """Distances are those of full precision up to what rounding may add."""
    features, labels = wide_sample(0.05)

    statistics = fitted((features, labels)).finish(rank=rank)

    whitening = statistics["whitening"]
    np.testing.assert_array_equal(whitening, whitening.astype(np.float16).astype(np.float64))
    if not rank:
        exact = mahalanobis_by_sklearn(features, labels)
        np.testing.assert_allclose(distances(statistics, features), exact, rtol=0.01)


def test_directions_that_rounding_would_drown_keep_all_digits():
    """The smallest variance is a thousand millionth of the largest."""
    features, labels = wide_sample(3e-5)

    statistics = fitted((features, labels)).finish()

    whitening = statistics["whitening"]
    assert not np.array_equal(whitening, whitening.astype(np.float16).astype(np.float64))
    exact = mahalanobis_by_sklearn(features, labels)
    np.testing.assert_allclose(distances(statistics, features), exact, rtol=1e-5)
