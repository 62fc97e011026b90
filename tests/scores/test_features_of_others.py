"""Heads on features that pytorch-ood has not: by scikit-learn, SciPy and by hand."""

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, rel_entr, softmax
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler, normalize

from edge_ood.errors import CalibrationError
from edge_ood.scores import BoundHead, LinearLayer, Outputs, bind_head

CLASSES, WIDTH = 3, 12
RNG = np.random.default_rng(0)
LABELS = np.arange(90) % CLASSES
CENTRES = 3 * RNG.random((CLASSES, WIDTH))
KNOWN = np.abs(CENTRES[LABELS] + RNG.normal(size=(90, WIDTH)))
MIXED = np.abs(3 * RNG.normal(size=(20, WIDTH)))
LINEAR = LinearLayer(RNG.normal(size=(CLASSES, WIDTH)) / 4, RNG.normal(size=CLASSES))


def logits_of(features):
    """What the last layer gives."""
    return features @ LINEAR.weight.T + LINEAR.bias


def outputs_of(features):
    """Features, and the logits that follow."""
    return Outputs(logits_of(features), features={"penultimate": features})


def ours(spec, images=90):
    """Scores of the mixed images, fitted on known ones."""
    bound = bind_head(spec)
    accumulator = bound.accumulator(CLASSES, LINEAR)
    accumulator.update(outputs_of(KNOWN[:images]), LABELS[:images])
    fitted = BoundHead(bound.head, bound.parameters, accumulator.finish())
    return fitted.score(np, outputs_of(MIXED))


def test_ctm_is_scikit_learns_cosine_to_the_mean_directions():
    """The largest of them, with the other sign."""
    unit = normalize(KNOWN)
    means = np.stack([unit[LABELS == label].mean(axis=0) for label in range(CLASSES)])

    np.testing.assert_allclose(ours("ctm"), -cosine_similarity(MIXED, means).max(axis=1))


def test_neco_is_the_share_that_scikit_learns_components_keep():
    """Of standardised features, times the largest logit, with the other sign."""
    scaler = StandardScaler().fit(KNOWN)
    components = PCA(0.9, svd_solver="full").fit(scaler.transform(KNOWN)).components_
    standard = scaler.transform(MIXED)
    share = np.linalg.norm(standard @ components.T, axis=1) / np.linalg.norm(standard, axis=1)

    expected = -logits_of(MIXED).max(axis=1) * share
    np.testing.assert_allclose(ours("neco"), expected, rtol=1e-9)


@pytest.mark.parametrize("dimensions", [3, 10])
def test_residual_is_what_scikit_learns_components_leave(dimensions):
    """Of directions, whichever side of the subspace is stored."""
    found = PCA(dimensions).fit(normalize(KNOWN))
    rows = normalize(MIXED)
    rebuilt = found.inverse_transform(found.transform(rows))

    expected = np.linalg.norm(rows - rebuilt, axis=1)
    np.testing.assert_allclose(ours(f"residual:dimensions={dimensions}"), expected, rtol=1e-9)


@pytest.mark.parametrize("head", ["residual", "vim"])
def test_a_subspace_that_holds_all_images_is_refused(head):
    """Eight images about their mean fill seven directions, as NumPy's rank of them says."""
    assert 7 == np.linalg.matrix_rank(KNOWN[:8] - KNOWN[:8].mean(axis=0))

    with pytest.raises(CalibrationError, match="leave nothing outside 7 of 12 directions"):
        ours(f"{head}:dimensions=7", 8)
    assert np.isfinite(ours(f"{head}:dimensions=6", 8)).all()


def test_kl_matching_is_scipys_divergence_from_the_nearest_mean():
    """Of the probabilities, from the mean probabilities of each class."""
    shares = softmax(logits_of(KNOWN), axis=1)
    means = np.stack([shares[LABELS == label].mean(axis=0) for label in range(CLASSES)])
    own = softmax(logits_of(MIXED), axis=1)

    expected = rel_entr(own[:, None], means[None]).sum(axis=2).min(axis=1)
    np.testing.assert_allclose(ours("kl_matching"), expected, rtol=1e-6)


def test_bfact_is_a_butterworth_filter_in_front_of_the_last_layer():
    """Second order: at the cut-off a feature is divided by the root of two."""
    cut_off = np.quantile(KNOWN.astype(np.float32), 0.95)
    damped = MIXED * np.array([1 / np.sqrt(1 + (h / cut_off) ** 4) for h in MIXED])

    np.testing.assert_allclose(ours("bfact"), -logsumexp(logits_of(damped), axis=1), rtol=1e-6)


def test_optfs_weighs_features_by_what_their_size_adds():
    """The authors' loop over bins, of the activations of every image; NumPy between centres."""
    low, high = np.quantile(KNOWN.astype(np.float32), [0.001, 0.999])
    width = (high - low) / 100
    predicted = logits_of(KNOWN).argmax(axis=1)
    added = LINEAR.weight[predicted] * KNOWN
    theta = []
    for left in low + width * np.arange(100):
        inside = (KNOWN >= left) & (KNOWN < left + width)
        theta.append(np.mean(np.sum(inside * added, axis=1)))
    theta = np.array(theta) * 10 / np.linalg.norm(theta)
    centres = low + width * (np.arange(100) + 0.5)
    shaped = MIXED * np.interp(MIXED, centres, theta)

    np.testing.assert_allclose(ours("optfs"), -logsumexp(logits_of(shaped), axis=1), rtol=1e-6)


def test_optfs_refuses_features_that_are_all_alike():
    """There are no bins between equal numbers."""
    accumulator = bind_head("optfs").accumulator(CLASSES, LINEAR)
    accumulator.update(outputs_of(np.full((90, WIDTH), 0.5)), LABELS)

    with pytest.raises(CalibrationError, match=r"99.8 % of the activations are 0.5"):
        accumulator.finish()


def test_gen_by_hand():
    """Two classes of one half each, and a third that hardly counts, are 2 * 4^-gamma and more."""
    logits = np.array([[0.0, 0.0, -60.0]])
    rest = np.exp(0.1 * log_softmax(logits, axis=1)[0, 2])

    found = bind_head("gen").score(np, Outputs(logits))

    np.testing.assert_allclose(found, [2 * 4**-0.1 + rest], rtol=1e-12)
