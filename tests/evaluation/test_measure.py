"""Numbers from hand-made answers of an artefact, against scikit-learn and counts by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from edge_ood.evaluation.groups import group_results, macro_mean
from edge_ood.evaluation.measure import (
    measure_id,
    measure_ood,
    measure_operating_points,
    true_labels,
)
from edge_ood.evaluation.results import GroupMetrics, IdResult
from edge_ood.evaluation.scored import Scored
from edge_ood.images.folders import ImageSet

CLASSES = ("ant", "bee", "cat")
THRESHOLDS = {"energy": (0.5, 0.5, 0.9), "msp": (0.0, 0.0, 0.0)}


def scored(predicted: list[int], energy: list[float], confidence: list[float]) -> Scored:
    """An artefact's answers; `msp` is the negated `energy`."""
    scores = {"energy": np.float32(energy), "msp": -np.float32(energy)}
    limits = {head: np.array(by_class)[predicted] for head, by_class in THRESHOLDS.items()}
    return Scored(
        names=tuple(f"./{i}.png" for i in range(len(predicted))),
        classes=CLASSES,
        label_index=np.array(predicted),
        confidence=np.array(confidence),
        scores=scores,
        pvalues={head: (1 / (2 + values)).astype(np.float32) for head, values in scores.items()},
        decisions={head: ~(values <= limits[head]) for head, values in scores.items()},
    )


INSIDE = scored([0, 1, 1, 2, 2], [0.1, 0.2, 0.6, 0.7, 0.95], [0.9, 0.8, 0.7, 0.6, 0.5])
LABELLED = replace(INSIDE, labels=np.array([0, 1, 0, 2, 0]))


@pytest.fixture
def on_id() -> IdResult:
    """Three of five predictions are right."""
    return measure_id(LABELLED, THRESHOLDS, overlap={"training": 2})


def test_accuracy_of_all_and_of_the_accepted(on_id: IdResult) -> None:
    """The third and the last image are wrong, and the head flags just these."""
    energy = on_id.heads["energy"]

    assert (5, 0.6, {"training": 2}) == (on_id.n, on_id.accuracy, on_id.seen)
    assert (0.6, 1.0) == (energy.realised_tpr, energy.accepted_accuracy)
    assert roc_auc_score([0, 0, 1, 0, 1], [0.1, 0.2, 0.6, 0.7, 0.95]) == pytest.approx(
        energy.misclassification.auroc
    )


def test_mean_probabilities_of_right_and_wrong_predictions(on_id: IdResult) -> None:
    """The mean of the predicted class over all, over right and over wrong predictions."""
    assert 0.7 == pytest.approx(on_id.mean_max_probability)
    assert (0.9 + 0.8 + 0.6) / 3 == pytest.approx(on_id.mean_max_probability_right)
    assert (0.7 + 0.5) / 2 == pytest.approx(on_id.mean_max_probability_wrong)


def test_classes_are_confused_as_scikit_learn_counts(on_id: IdResult) -> None:
    """The matrix, and precision and recall of each class, all of which occur."""
    true, predicted = LABELLED.labels, LABELLED.label_index
    precision, recall, _, counts = precision_recall_fscore_support(true, predicted)

    assert confusion_matrix(true, predicted).tolist() == [list(row) for row in on_id.confusion]
    assert list(CLASSES) == [quality.name for quality in on_id.classes]
    assert counts.tolist() == [quality.n_true for quality in on_id.classes]
    assert [1, 2, 2] == [quality.n_predicted for quality in on_id.classes]
    assert precision.tolist() == [quality.precision for quality in on_id.classes]
    assert recall.tolist() == [quality.recall for quality in on_id.classes]


def test_a_class_that_nobody_names_has_no_precision_and_many_classes_no_matrix() -> None:
    """Of 31 classes one is named; the others are undefined, and nobody would read 961 cells."""
    names = tuple(f"c{k}" for k in range(31))
    answers = replace(
        INSIDE, classes=names, label_index=np.zeros(5, int), labels=np.array([0, 0, 0, 0, 1])
    )
    limits = dict.fromkeys(THRESHOLDS, (0.5,) * 31)

    found = measure_id(answers, limits, overlap={})

    assert (0.8, 1.0) == (found.classes[0].precision, found.classes[0].recall)
    assert math.isnan(found.classes[1].precision)
    assert 0 == found.classes[1].recall
    assert math.isnan(found.classes[2].recall)
    assert () == found.confusion


def test_operating_points_flag_p_values_of_at_most_their_rate() -> None:
    """Of p-values 0.01, 0.04 and 0.3 a rate of 1 % flags one, 5 % two, and 20 % no more."""
    three = np.float32([0.01, 0.04, 0.3])
    outside = replace(
        scored([0, 0, 0], [1, 1, 1], [0.5] * 3), pvalues={"energy": three, "msp": three}
    )

    found = measure_operating_points(INSIDE, {"far": outside})

    assert [0.01, 0.02, 0.05, 0.1, 0.2] == [point.alpha for point in found]
    shares = [point.caught["far"]["energy"] for point in found]
    assert [1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3] == pytest.approx(shares)
    assert all(0 == point.refused["energy"] for point in found)


def test_the_calibration_error_without_the_temperature() -> None:
    """By hand: 3 of 5 are right, and all are 0.5 sure, 1 before; without another it is the same."""
    sure = replace(LABELLED, confidence=np.full(5, 0.5), confidence_before=np.ones(5))

    found = measure_id(sure, THRESHOLDS, overlap={})
    plain = measure_id(replace(sure, confidence_before=None), THRESHOLDS, overlap={})

    assert (0.1, 0.4) == pytest.approx(
        (found.expected_calibration_error, found.calibration_error_before)
    )
    assert plain.expected_calibration_error == plain.calibration_error_before


def test_alarms_by_class(on_id: IdResult) -> None:
    """By true class and by predicted class, NaN where there is no image of one."""
    ant, bee, cat = on_id.heads["energy"].classes

    assert ("ant", 3, pytest.approx(2 / 3), 1, 0.0) == tuple(vars(ant).values())
    assert ("bee", 1, 0.0, 2, 0.5) == tuple(vars(bee).values())
    assert ("cat", 1, 0.0, 2, 0.5) == tuple(vars(cat).values())


def test_a_class_without_images_has_no_rate() -> None:
    """NaN, and no warning of a division."""
    few = scored([0, 0], [0.1, 0.2], [0.9, 0.8])
    labelled = replace(few, labels=np.array([0, 1]))
    cat = measure_id(labelled, THRESHOLDS, overlap={}).heads["energy"].classes[2]

    assert (0, 0) == (cat.n_true, cat.n_predicted)
    assert math.isnan(cat.flagged_true)
    assert math.isnan(cat.flagged_predicted)


def test_without_labels_what_needs_them_is_undefined() -> None:
    """Rates of alarms by predicted class, probabilities and p-values stay."""
    found = measure_id(INSIDE, THRESHOLDS, overlap={})
    energy = found.heads["energy"]

    assert not found.is_labelled
    assert all(
        math.isnan(rate)
        for rate in (
            found.accuracy,
            found.mean_max_probability_right,
            found.mean_max_probability_wrong,
            found.expected_calibration_error,
            energy.accepted_accuracy,
        )
    )
    assert () == found.reliability.count
    assert [(0, 1), (0, 2), (0, 2)] == [(c.n_true, c.n_predicted) for c in energy.classes]
    assert "" == energy.suspicious[0].true_label


def test_the_most_suspicious_id_images(on_id: IdResult) -> None:
    """Largest score first, with what the image is and what it is taken for."""
    first = on_id.heads["energy"].suspicious[0]

    assert ("./4.png", "cat", "ant") == (first.path, first.label, first.true_label)
    assert "./0.png" == on_id.heads["msp"].suspicious[0].path
    assert THRESHOLDS["energy"] == on_id.heads["energy"].thresholds


def test_an_ood_set_against_the_id_set() -> None:
    """Counts, flags, AUROC and the most trusted image, each for each head."""
    ood = scored([0, 2], [0.3, 0.8], [0.4, 0.6])

    found = measure_ood(INSIDE, ood, group="near", kind="files", overlap={})

    pooled = [*INSIDE.scores["energy"], *ood.scores["energy"]]
    auroc = roc_auc_score([0] * 5 + [1] * 2, pooled)
    assert (2, "near", 0.5) == (found.n, found.group, found.mean_max_probability)
    assert {"energy": 0.0, "msp": 0.0} == found.flagged
    assert auroc == pytest.approx(found.metrics["energy"].auroc)
    assert 1 - auroc == pytest.approx(found.metrics["msp"].auroc)
    assert ["./0.png", "./1.png"] == [e.path for e in found.trusted["energy"]]
    assert ["./1.png", "./0.png"] == [e.path for e in found.trusted["msp"]]
    for curves in (found.curves, found.histograms):
        assert {"energy", "msp"} == set(curves)


def test_groups_are_means_in_which_every_set_counts_once() -> None:
    """Sizes of the sets do not matter, and a group without sets is left out."""
    one = measure_ood(
        INSIDE, scored([0, 2], [0.3, 0.8], [0.4, 0.6]), group="near", kind="files", overlap={}
    )
    two = measure_ood(INSIDE, scored([1], [1.5], [0.4]), group="", kind="files", overlap={})

    found = group_results({"one": one, "two": two})

    assert {"near": ("one",), "all": ("one", "two")} == {n: g.sets for n, g in found.items()}
    for name in GroupMetrics.__dataclass_fields__:
        if name == "flagged":
            each = [result.flagged["energy"] for result in (one, two)]
        else:
            each = [getattr(result.metrics["energy"], name) for result in (one, two)]
        assert np.mean(each) == pytest.approx(getattr(found["all"].metrics["energy"], name))
    assert {} == group_results({})
    assert {"far", "all"} == set(group_results({"one": replace(one, group="far")}))


def test_the_mean_of_ones_is_one() -> None:
    """Of seven sets, whose weights do not add up to one: intervals at 1 have their own form."""
    names = [str(index) for index in range(7)]

    assert 1.0 == macro_mean(dict.fromkeys(names, 1.0), [names])


def test_near_and_far_weigh_the_same_in_the_mean_over_all() -> None:
    """One near set counts as much as two far ones together, and made images not at all."""
    answers = {"near": [0.5], "far one": [1.5], "far two": [2.5], "made": [9]}
    ood = {
        name: measure_ood(
            INSIDE,
            scored([0], scores, [0.4]),
            group=name.partition(" ")[0] if name != "made" else "",
            kind="synthetic" if name == "made" else "files",
            overlap={},
        )
        for name, scores in answers.items()
    }

    found = group_results(ood)["all"]

    assert ("near", "far one", "far two") == found.sets
    assert (0.5, 0.25, 0.25) == found.weights
    aurocs = [ood[name].metrics["energy"].auroc for name in found.sets]
    expected = (aurocs[0] + (aurocs[1] + aurocs[2]) / 2) / 2
    assert expected == pytest.approx(found.metrics["energy"].auroc)


@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        (("cat", "ant"), [0, 1, 1], [2, 0, 0]),
        (("ant", "dog"), [0, 0, 0], [0, 0, 0]),
        (("ant", "dog"), [0, 1, 0], None),
        ((), None, None),
    ],
)
def test_labels_follow_names(
    classes: tuple[str, ...], labels: list[int] | None, expected: list[int] | None
) -> None:
    """Classes that no image has do not matter; an image of an unknown class leaves no labels."""
    images = ImageSet((), None if labels is None else np.array(labels), classes)

    found = true_labels(images, CLASSES)

    assert expected == (None if found is None else found.tolist())


def test_labels_follow_names_in_either_unicode_form() -> None:
    """Folders from a Mac have an accent as a sign of its own; the class is the same."""
    images = ImageSet((), np.array([0, 0]), ("cafe\u0301",))

    found = true_labels(images, ("tea", "caf\u00e9"))

    assert found is not None
    assert [1, 1] == found.tolist()
