"""Evaluation on a scorer whose answers stand in the file names."""

import json
import math

import numpy as np
import pytest
from named_scores import ID_IMAGES, OOD_IMAGES, NamedScorer, images, measure, run
from sklearn.metrics import roc_auc_score

from edge_ood.errors import DataError
from edge_ood.metrics import detection

# What shares images here does so on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore::edge_ood.evaluation.shared_images.SharedImagesWarning"
)


def test_each_head_is_compared_on_each_set():
    """Per set and head stand the pair metrics of the scores in the files' names."""
    expected = {
        "energy": detection.pair_metrics(
            np.float32([0.1, 0.2, 0.6, 0.7]), np.float32([0.4, 0.8, 0.9])
        ),
        "msp": detection.pair_metrics(
            -np.float32([0.1, 0.2, 0.6, 0.7]), -np.float32([0.4, 0.8, 0.9])
        ),
    }

    result = measure(NamedScorer(), ID_IMAGES, {"far": OOD_IMAGES, "near": images("ant_0.1")})

    assert ["far", "near"] == list(result.ood)
    assert expected == result.ood["far"].metrics
    assert (3, 1) == (result.ood["far"].n, result.ood["near"].n)


def test_realised_rates_are_the_artefacts_decisions():
    """TPR and flagged share come from the decisions, not from a threshold found here."""
    result = measure(NamedScorer(), ID_IMAGES, {"far": OOD_IMAGES})

    assert {
        "energy": 0.5,
        "msp": 1.0,
    } == {head: on_id.realised_tpr for head, on_id in result.id.heads.items()}
    assert result.ood["far"].flagged == {"energy": 2 / 3, "msp": 0.0}


def test_accuracy_and_accuracy_of_accepted():
    """Three of four predictions are right, and both accepted ones."""
    result = measure(NamedScorer(), ID_IMAGES, {})

    assert 0.75 == result.id.accuracy
    assert 1.0 == result.id.heads["energy"].accepted_accuracy
    assert 0.75 == result.id.heads["msp"].accepted_accuracy


def test_misclassification_ranks_wrong_above_right():
    """The third image is the wrong one, and the score's AUROC for it is scikit-learn's."""
    expected = roc_auc_score([False, False, True, False], [0.1, 0.2, 0.6, 0.7])

    found = measure(NamedScorer(), ID_IMAGES, {}).id.heads["energy"].misclassification

    assert expected == pytest.approx(found.auroc, abs=1e-12)
    assert (3, 1) == (found.n_right, found.n_wrong)


def test_probabilities_of_the_predicted_class():
    """All predictions are half sure and three of four are right, a gap of one quarter."""
    result = measure(NamedScorer(), ID_IMAGES, {"far": OOD_IMAGES})

    assert pytest.approx(0.5, abs=1e-6) == result.id.mean_max_probability  # float32 logits
    assert pytest.approx(0.5, abs=1e-6) == result.ood["far"].mean_max_probability
    assert pytest.approx(0.25, abs=1e-6) == result.id.expected_calibration_error


def test_labels_follow_class_names_not_positions():
    """An image set with fewer classes has other indices for the same names."""
    id_images = images("bee_0.1", "cat_0.2", "cat_0.3", labels=[0, 1, 0], classes=("bee", "cat"))

    assert measure(NamedScorer(), id_images, {}).id.accuracy == 2 / 3


@pytest.mark.parametrize(
    "id_images",
    [
        images("ant_0.1", "bee_0.2"),
        images("ant_0.1", "bee_0.2", labels=[0, 1], classes=("Ant", "Bee")),
    ],
)
def test_without_the_artefacts_classes_there_is_no_accuracy(id_images):
    """Unlabelled images, or other class names, leave NaN and a false mark."""
    result = measure(NamedScorer(), id_images, {})

    assert not result.id.is_labelled
    assert math.isnan(result.id.accuracy)
    assert math.isnan(result.id.expected_calibration_error)
    assert math.isnan(result.id.heads["energy"].accepted_accuracy)


def test_nothing_accepted_has_no_accuracy():
    """An artefact that flags every ID image has no accuracy on accepted ones."""
    id_images = images("ant_0.8", "bee_0.9", labels=[0, 0])

    on_id = measure(NamedScorer(), id_images, {}).id.heads["energy"]

    assert 0 == on_id.realised_tpr
    assert math.isnan(on_id.accepted_accuracy)


def test_no_mistakes_warn_and_are_null_in_json():
    """All predictions right: misclassification is NaN with a warning, and null in the document."""
    id_images = images("ant_0.1", "bee_0.2", labels=[0, 1])

    with pytest.warns(detection.UndefinedMetricWarning):
        document = run({"named": NamedScorer()}, id_images, {}).to_json()

    assert document["models"][0]["id"]["heads"]["energy"]["misclassification"]["auroc"] is None


def test_document_is_strict_json():
    """The document survives JSON without NaN and names its numbers."""
    result = run({"named": NamedScorer()}, images("ant_0.1"), {"far": OOD_IMAGES})

    whole = json.loads(json.dumps(result.to_json(), allow_nan=False))

    (document,) = whole["models"]
    assert 1 == whole["format"]
    assert ["energy", "msp"] == document["heads"]
    assert ("energy", 0.05) == (document["primary"], document["alpha"])
    assert 0 == document["ood"]["far"]["metrics"]["energy"]["fpr95_id_positive"]
    assert document["id"]["accuracy"] is None


def test_a_manual_threshold_guarantees_no_rate():
    """A rate that nothing holds is not held against the results."""
    scorer = NamedScorer()
    scorer.metadata.calibration.manual_thresholds = ("energy",)

    (document,) = run({"named": scorer}, ID_IMAGES, {}).to_json()["models"]

    assert document["alpha"] is None


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_score_that_is_not_finite_is_refused(value):
    """The message names head, file, value and count."""
    broken = images("ant_0.1", f"bee_{value}")

    with pytest.raises(
        DataError,
        match=rf"score 'energy' of './set/bee_{value}.png' is {value}, .* \(1 of 2 images\)",
    ):
        measure(NamedScorer(), ID_IMAGES, {"far": broken})


def test_empty_set_is_named():
    """A set without images is an error that names it, before any image is scored."""
    scored = []

    with pytest.raises(DataError, match="set 'far' has no images"):
        measure(NamedScorer(), ID_IMAGES, {"far": images()}, on_image=lambda: scored.append(1))

    assert [] == scored


def test_progress_counts_every_image():
    """`on_image` is called once for each image of every set."""
    calls = []

    measure(NamedScorer(), ID_IMAGES, {"far": OOD_IMAGES}, on_image=lambda: calls.append(1))

    assert 7 == len(calls)
