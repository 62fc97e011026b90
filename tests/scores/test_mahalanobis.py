"""Mahalanobis distance: by hand, by scikit-learn, and its ranking by pytorch-ood."""

from functools import partial

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA

from edge_ood.scores import Outputs
from edge_ood.scores.mahalanobis import LayerGaussians, mahalanobis, own_distances, too_few_images

mahalanobis, own_distances = (partial(f, normalize=False) for f in (mahalanobis, own_distances))
normalized = partial(mahalanobis, normalize=True)

CLASSES, DIMENSIONS = 3, 5
PLAIN = {"centre": np.zeros(2), "whitening": np.eye(2), "means": np.array([[0.0, 0], [10, 0]])}


def features_only(features):
    """Outputs with one layer."""
    return Outputs(None, features={"penultimate": np.asarray(features, float)})


def of_layer(statistics, layer="penultimate"):
    """Statistics under the names that belong to one layer."""
    return {f"{layer}/{name}": array for name, array in statistics.items()}


def training_set():
    """Correlated features of three classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % CLASSES
    mixing = rng.normal(size=(DIMENSIONS, DIMENSIONS))
    centres = 3 * rng.normal(size=(CLASSES, DIMENSIONS))
    return rng.normal(size=(90, DIMENSIONS)) @ mixing + centres[labels], labels


def fitted(features, labels, **parameters):
    """The head's statistics."""
    accumulator = LayerGaussians(CLASSES, **{"normalize": False, **parameters})
    accumulator.update(features_only(features), labels)
    return accumulator.finish()


@pytest.mark.parametrize(
    ("point", "expected"), [((0, 0), 0), ((3, 4), 25), ((9, 2), 5), ((5, 1), 26), ((-10, 0), 100)]
)
def test_is_the_squared_distance_to_the_nearest_mean(point, expected):
    """With identity covariance: the squared distance to the nearer of (0, 0) and (10, 0)."""
    assert expected == pytest.approx(
        mahalanobis(np, features_only([point]), of_layer(PLAIN))[0], abs=1e-12
    )


def test_whitening_scales_each_direction():
    """Two standard deviations along one axis and one along the other are 4 + 1."""
    statistics = {
        "centre": np.array([1.0, 1.0]),
        "whitening": np.diag([1 / 3, 1 / 5]),
        "means": np.zeros((1, 2)),
    }

    score = mahalanobis(np, features_only([[1 + 6, 1 - 5]]), of_layer(statistics))[0]

    assert pytest.approx(5, rel=1e-12) == score


def test_is_scikit_learns_distance_to_the_nearest_class():
    """Squared, to the nearest class mean, under the covariance of the residuals."""
    features, labels = training_set()
    means = np.stack([features[labels == c].mean(axis=0) for c in range(CLASSES)])
    covariance = EmpiricalCovariance().fit(features - means[labels])
    points = 5 * np.random.default_rng(1).normal(size=(40, DIMENSIONS))
    expected = np.min([covariance.mahalanobis(points - mean) for mean in means], axis=0)

    scores = mahalanobis(np, features_only(points), fitted(features, labels))

    np.testing.assert_allclose(scores, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("images", "width", "kept"), [(1000, 6, 0), (27, 6, 0), (26, 6, 5), (11, 6, 2), (300, 513, 74)]
)
def test_few_images_give_few_directions_a_variance(images, width, kept):
    """One for four images beyond those of the three means, and all where they give as many."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(images, width)), np.arange(images) % CLASSES

    found, asked = fitted(features, labels), fitted(features, labels, rank=kept or width)

    assert (kept or width) == found["penultimate/whitening"].shape[1]
    assert found.keys() == asked.keys()
    assert all((found[name] == asked[name]).all() for name in found)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_a_cut_is_the_distance_under_scikit_learns_probabilistic_pca(rank):
    """To the class that is nearest in all directions, not only in those that are kept."""
    features, labels = training_set()
    means = np.stack([features[labels == c].mean(axis=0) for c in range(CLASSES)])
    pca = PCA(rank, svd_solver="full").fit(features - means[labels])
    precision = pca.get_precision() * len(features) / (len(features) - 1)
    points = 5 * np.random.default_rng(1).normal(size=(40, DIMENSIONS))
    away = points[:, None] - means
    expected = np.einsum("nkd,de,nke->nk", away, precision, away).min(axis=1)

    scores = mahalanobis(np, features_only(points), fitted(features, labels, rank=rank))

    np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_what_a_cut_leaves_does_not_cancel():
    """Nearly all of the length lies in the kept direction; float32 still sees the rest."""
    labels = np.arange(60) % CLASSES
    features = np.random.default_rng(0).normal(size=(60, 4)) * [1e4, 1e-1, 1e-1, 1e-1]
    exact = fitted(features, labels, rank=1)
    single = {name: array.astype(np.float32) for name, array in exact.items()}
    points = features[:5] + np.array([0, 0.5, 0, 0])
    outputs = Outputs(None, features={"penultimate": points.astype(np.float32)})

    found = mahalanobis(np, outputs, single)

    expected = mahalanobis(np, features_only(points), exact)
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_small_distances_do_not_cancel():
    """Near a mean far from the centre, float32 keeps the digits that the expanded square loses."""
    statistics = {
        "centre": np.zeros(2, np.float32),
        "whitening": np.eye(2, dtype=np.float32),
        "means": np.array([[4096, 0], [0, 4096]], np.float32),
    }
    outputs = Outputs(None, features={"penultimate": np.array([[4096.5, 0.25]], np.float32)})

    assert pytest.approx(0.3125, rel=1e-6) == mahalanobis(np, outputs, of_layer(statistics))[0]


def test_pytorch_ood_ranks_alike(pytorch_ood):
    """Up to a constant factor the independent detector gives the same scores."""
    torch = pytest.importorskip("torch")
    features, labels = training_set()
    points = 5 * np.random.default_rng(2).normal(size=(40, DIMENSIONS))
    detector = pytorch_ood.Mahalanobis(None)
    detector.fit_features(torch.from_numpy(features).float(), torch.from_numpy(labels))

    theirs = detector.predict_features(torch.from_numpy(points).float()).numpy()

    ours = mahalanobis(np, features_only(points), fitted(features, labels))
    np.testing.assert_array_equal(np.argsort(ours), np.argsort(theirs))
    # Half the squared distance, under a scatter matrix that was not divided by N.
    np.testing.assert_allclose(ours, 2 * len(features) * theirs, rtol=1e-3)


def test_layers_are_weighted_and_summed():
    """Two layers at squared distances 25 and 4, weighted 1 and 0.5, give 27."""
    statistics = {**of_layer(PLAIN, "early"), **of_layer(PLAIN), "penultimate/weight": 0.5}
    features = {"early": np.array([[3.0, 4.0]]), "penultimate": np.array([[10.0, 2.0]])}

    score = mahalanobis(np, Outputs(None, features=features), statistics)[0]

    assert pytest.approx(27, rel=1e-12) == score


def test_each_layer_descends_its_own_distance():
    """The perturbation's losses are the unweighted distances, by the name of the output."""
    statistics = {**of_layer(PLAIN, "early"), **of_layer(PLAIN), "penultimate/weight": 0.5}
    features = {"early": np.array([[3.0, 4.0]]), "penultimate": np.array([[10.0, 2.0]])}

    losses = own_distances(np, Outputs(None, features=features), statistics)

    assert {"features/early", "features/penultimate"} == losses.keys()
    assert pytest.approx(25) == losses["features/early"][0]
    assert pytest.approx(4) == losses["features/penultimate"][0]


def test_features_of_length_one_are_scikit_learns_distance_between_directions():
    """By default lengths do not count, when fitted and when scored."""
    features, labels = training_set()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    means = np.stack([unit[labels == c].mean(axis=0) for c in range(CLASSES)])
    covariance = EmpiricalCovariance().fit(unit - means[labels])
    points = np.random.default_rng(1).normal(size=(40, DIMENSIONS))
    directions = points / np.linalg.norm(points, axis=1, keepdims=True)
    expected = np.min([covariance.mahalanobis(directions - mean) for mean in means], axis=0)
    statistics = fitted(features, labels, normalize=True)

    for scale in (1, 7e3):
        scores = normalized(np, features_only(scale * points), statistics)

        np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_a_row_of_zeros_has_a_distance():
    """It has no direction: it stays where it is."""
    statistics = fitted(*training_set(), normalize=True)

    assert np.isfinite(normalized(np, features_only(np.zeros((1, DIMENSIONS))), statistics)).all()


@pytest.mark.parametrize(
    ("counts", "widths", "shrinkage", "rank", "said"),
    [
        ([4, 4], {"early": 2, "penultimate": 6}, 0.0, 6, ""),
        ([4, 3], {"early": 2, "penultimate": 6}, 0.0, 6, "5 of 6 directions"),
        ([4, 3], {"early": 7, "penultimate": 2}, 0.0, 7, "it takes 9 images"),
        ([4, 3], {"penultimate": 6}, 0.0, 4, ""),
        ([4, 3], {"penultimate": 6}, 0.1, 6, ""),
        ([4, 3], {"penultimate": 6}, 0.0, 0, ""),
        ([3, 2], {"penultimate": 6}, 0.0, 0, "5 images of 2 classes; it takes 6"),
        ([9, 0, 0], {"penultimate": 2}, 0.1, 0, "2 of 3 classes have no image"),
    ],
)
def test_a_covariance_takes_an_image_for_each_direction_and_class(
    counts, widths, shrinkage, rank, said
):
    """N - K is the rank of the pooled covariance of N points in general position."""
    found = too_few_images(counts, widths, shrinkage=shrinkage, rank=rank)

    assert said in found
    assert bool(said) == bool(found)


def test_as_many_images_as_it_takes_give_a_regular_covariance():
    """One fewer and a direction is lost, as NumPy's rank of the residuals says."""
    rng = np.random.default_rng(0)
    for count, rank in ((CLASSES + DIMENSIONS, DIMENSIONS), (7, 4)):
        labels = np.arange(count) % CLASSES
        features = rng.normal(size=(count, DIMENSIONS))
        means = np.stack([features[labels == k].mean(axis=0) for k in range(CLASSES)])
        assert rank == np.linalg.matrix_rank(features - means[labels])
        counts = np.bincount(labels).tolist()
        few = too_few_images(counts, {"penultimate": DIMENSIONS}, shrinkage=0.0, rank=DIMENSIONS)
        assert (rank < DIMENSIONS) == bool(few)
