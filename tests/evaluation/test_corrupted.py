"""Corrupted ID images, scored by a small artefact."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from edge_ood.corruptions import CORRUPTIONS, STRENGTHS
from edge_ood.errors import InputError, UnknownNameError
from edge_ood.evaluation.corrupted import measure_corruption, parse_corruptions
from edge_ood.evaluation.scored import score
from edge_ood.images.folders import ImageSet, read_class_folders
from edge_ood.runtime.scorer import Scorer


@pytest.fixture(scope="module")
def scorer(colour_artifact):
    """An artefact for images of 16 px."""
    return Scorer(colour_artifact, provider="cpu", threads=1)


@pytest.fixture(scope="module")
def id_images(colours):
    """18 images of three classes."""
    return read_class_folders(colours / "test")


@pytest.fixture(scope="module")
def clean(scorer, id_images):
    """The artefact's answers for the images as they are."""
    return score(scorer, id_images, batch_size=8)


def test_each_strength_is_compared_with_the_clean_images(scorer, id_images, clean):
    """Accuracy, alarms and AUROC by scikit-learn and NumPy, on the images made once more."""
    ticks = []
    (corrupted,) = parse_corruptions("noise")

    result = measure_corruption(
        corrupted, scorer, id_images, clean, batch_size=4, on_image=lambda: ticks.append(1)
    )

    assert "noise" == result.name
    assert list(STRENGTHS) == [one.strength for one in result.strengths]
    assert 5 * len(id_images) == len(ticks)
    for one in result.strengths:
        images = corrupted.images(scorer, id_images, one.strength)
        answers = scorer.score_arrays(images.frames(range(len(images))))
        truth = [id_images.classes[id_images.labels[i]] for i in images.origins]
        predicted = [answers.classes[i] for i in answers.label_index]
        assert len(id_images) == one.n
        assert accuracy_score(truth, predicted) == one.accuracy
        for head in scorer.heads:
            both = np.concatenate([clean.scores[head], answers.scores[head]])
            auroc = roc_auc_score(np.arange(len(both)) >= len(clean), both)
            assert auroc == pytest.approx(one.auroc[head])
            assert answers.decisions[head].mean() == one.flagged[head]


def test_confidence_and_calibration_are_those_of_the_corrupted_images(scorer, id_images, clean):
    """Mean probability of the predicted class, and its error over 15 bins, by hand."""
    (corrupted,) = parse_corruptions("brightness:count=12")

    last = measure_corruption(corrupted, scorer, id_images, clean, batch_size=8).strengths[-1]

    images = corrupted.images(scorer, id_images, 5)
    answers = scorer.score_arrays(images.frames(range(12)))
    shares = np.exp(answers.logits.astype(float))
    confidence = shares.max(axis=1) / shares.sum(axis=1)
    is_right = answers.label_index == id_images.labels[images.origins]
    bins = np.ceil(confidence * 15)
    error = sum(
        abs(confidence[bins == b].mean() - is_right[bins == b].mean()) * (bins == b).mean()
        for b in set(bins)
    )
    assert 12 == last.n
    assert confidence.mean() == pytest.approx(last.mean_max_probability)
    assert error == pytest.approx(last.expected_calibration_error)


def test_without_labels_there_is_no_accuracy(scorer, id_images, clean):
    """Alarms and AUROC need none."""
    (corrupted,) = parse_corruptions("blur:count=3")

    result = measure_corruption(
        corrupted, scorer, ImageSet(id_images.paths), clean, batch_size=8
    ).strengths[0]

    assert math.isnan(result.accuracy)
    assert math.isnan(result.expected_calibration_error)
    assert 0 <= result.auroc["energy"] <= 1


def test_all_corruptions_take_the_same_images(scorer, id_images):
    """Every corruption and strength takes the same part of the ID images, by the seed."""
    sets = parse_corruptions("all:count=5,seed=2")
    expected = np.random.default_rng(2).permutation(len(id_images))[:5]

    assert CORRUPTIONS.names() == [one.corruption.name for one in sets]
    for strength in STRENGTHS:
        for one in sets:
            np.testing.assert_array_equal(expected, one.images(scorer, id_images, strength).origins)


def test_strengths_fit_the_input_of_the_artefact(scorer, id_images):
    """At 16 px noise has the deviation that CIFAR-10-C has."""
    (corrupted,) = parse_corruptions("noise")
    grey = np.full((16, 16, 3), 0.5)

    made = corrupted.images(scorer, id_images, 5).make(np.random.default_rng(0), grey)

    expected = 0.5 + np.random.default_rng(0).normal(0, 0.10, (16, 16, 3))
    np.testing.assert_allclose(made, np.clip(expected, 0, 1))


def test_corruptions_are_parsed_like_other_names():
    """A list with parameters, in the order given."""
    found = parse_corruptions("noise:count=500,seed=3,blur")

    assert [("noise", 500, 3), ("blur", None, 0)] == [
        (one.corruption.name, one.count, one.seed) for one in found
    ]


@pytest.mark.parametrize(
    ("text", "error", "message", "hint"),
    [
        ("blurr", UnknownNameError, "unknown corruption 'blurr'", "did you mean 'blur'?"),
        ("blur,blur", InputError, "'blur' is given twice in 'blur,blur'", ""),
        ("all,jpeg", InputError, "'jpeg' is given twice", ""),
        ("blur:sigma=3", UnknownNameError, "unknown parameter of blur 'sigma'", "one of count"),
        ("blur:count=0", InputError, "'count' of blur is 0, expected 1 or more", ""),
        ("", InputError, "cannot read ''", "NAME"),
    ],
)
def test_unusable_corruptions_are_refused_with_a_hint(text, error, message, hint):
    """What arrived, and what would do."""
    with pytest.raises(error, match=message) as caught:
        parse_corruptions(text)

    assert hint in (caught.value.hint or "")
