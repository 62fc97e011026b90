"""Evaluation on a scorer whose answers stand in the file names."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edge_ood.artifact.outputs import Scores
from edge_ood.artifact.packed import Manifest
from edge_ood.errors import DataError
from edge_ood.evaluation.artifacts import OpenArtifact, open_artifacts
from edge_ood.evaluation.evaluate import measure_answers, score_plan
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.evaluation.sets import parse_sets
from edge_ood.evaluation.values import Bootstrap
from edge_ood.images.folders import ImageSet, read_images
from edge_ood.images.reading import content_hash
from edge_ood.metrics import detection

THRESHOLD = 0.5
CLASSES = ("ant", "bee", "cat")


class NamedScorer:
    """Answers from file names: `bee_0.3.png` is predicted as bee with the scores 0.3 and -0.3."""

    heads = ("energy", "msp")

    def __init__(self, manifests=None, provenance=None):
        self.metadata = SimpleNamespace(
            precision="fp32",
            heads=(),
            provenance=provenance or {},
            classes=CLASSES,
            primary="energy",
            calibration=SimpleNamespace(alpha=0.05, manual_thresholds=()),
            manifests=manifests or {},
        )

    def score_files(self, paths, *, batch_size=8, on_image=lambda: None):
        """Answer for each path."""
        label, score = zip(*(path.stem.split("_") for path in paths), strict=True)
        index = np.array([CLASSES.index(name) for name in label])
        energy = np.array(score, np.float32)
        for _ in paths:
            on_image()
        scores = {"energy": energy, "msp": -energy}
        scores = {head: scores[head] for head in self.heads}
        decisions = {head: ~(values <= THRESHOLD) for head, values in scores.items()}
        return Scores(
            classes=CLASSES,
            label_index=index,
            is_ood=decisions[self.metadata.primary],
            pvalue=energy,
            logits=np.log(np.eye(3)[index] + 1).astype(np.float32),  # probability 1/2 of the label
            scores=scores,
            pvalues=scores,
            decisions=decisions,
        )


def images(*names, labels=None, classes=CLASSES):
    paths = tuple(Path("set", f"{name}.png") for name in names)
    hashes = tuple(content_hash(path.name.encode()) for path in paths)
    return ImageSet(paths, None if labels is None else np.array(labels), classes, hashes)


ID_IMAGES = images("ant_0.1", "bee_0.2", "bee_0.6", "cat_0.7", labels=[0, 1, 0, 2])
OOD_IMAGES = images("ant_0.4", "cat_0.8", "cat_0.9")


@dataclass
class Files:
    """An OOD set of these images, as if it were a folder."""

    name: str
    found: ImageSet
    group: str = ""
    kind: str = "files"
    source: str = "folder"

    def images(self, scorer, id_images):
        """The same for every artefact."""
        return self.found


def evaluate(plan, *, on_image=lambda: None, **measuring):
    """Score, then measure."""
    answers = score_plan(plan, batch_size=8, on_image=on_image)
    return measure_answers(plan, answers, **measuring)


def named(scorer, name="named"):
    """A scorer as an artefact of that name."""
    thresholds = dict.fromkeys(scorer.heads, (THRESHOLD,) * 3)
    return OpenArtifact(name, f"./{name}.onnx", "abc", 7, scorer, thresholds)


def run(scorers, id_images, sets, *, allow_overlap=False, **options):
    """The evaluation of artefacts on image sets."""
    ood = [Files(name, images) for name, images in sets.items()]
    artifacts = [named(scorer, name) for name, scorer in scorers.items()]
    plan = plan_evaluation(artifacts, "set", id_images, ood, allow_overlap=allow_overlap)
    return evaluate(plan, **options)


def measure(scorer, id_images, sets, **options):
    """The result of one artefact."""
    (artifact,) = run({"named": scorer}, id_images, sets, **options).models
    return artifact


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


POOL = {"unlabelled": Manifest.of([content_hash(b"bee_0.6.png")])}
TRANSDUCTIVE = {
    "objective": "classifier-discrepancy",
    "objective_parameters": {"mode": "transductive"},
    "never_tested": [],
}


def test_a_transductive_result_says_so():
    """Test images of the pool are counted, and the objective stands beside the numbers."""
    scorer = NamedScorer(POOL, TRANSDUCTIVE)

    result = measure(scorer, ID_IMAGES, {"far": OOD_IMAGES}, allow_overlap=True)

    assert {"unlabelled": 1} == result.id.seen
    assert {} == result.ood["far"].seen
    assert "classifier-discrepancy:mode=transductive" == result.objective


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"objective": 7, "objective_parameters": {}},
        {"objective": "x", "objective_parameters": 7},
    ],
)
def test_an_artefact_of_unknown_origin_has_no_objective(provenance):
    """Where the metadata say nothing usable about training, the objective is empty."""
    scorer = NamedScorer(provenance=provenance)

    assert "" == measure(scorer, ID_IMAGES, {"far": OOD_IMAGES}).objective


def test_artefacts_share_the_sets():
    """Several artefacts are measured on the same images, each as if it were alone."""
    other = NamedScorer()
    other.heads = ("msp",)
    other.metadata.primary = "msp"
    ticks = []

    result = run(
        {"one": NamedScorer(), "two": other},
        ID_IMAGES,
        {"far": OOD_IMAGES},
        on_image=lambda: ticks.append(1),
    )

    alone = [measure(scorer, ID_IMAGES, {"far": OOD_IMAGES}) for scorer in (NamedScorer(), other)]
    assert [("one", ("energy", "msp")), ("two", ("msp",))] == [
        (artifact.name, artifact.heads) for artifact in result.models
    ]
    assert [artifact.ood for artifact in alone] == [artifact.ood for artifact in result.models]
    assert 14 == len(ticks)


def test_a_head_is_recommended_with_intervals():
    """The best mean AUROC, its interval and its rivals, once images are drawn again."""
    result = run({"one": NamedScorer()}, ID_IMAGES, {"far": OOD_IMAGES}, bootstrap=Bootstrap(50))

    found = result.recommendation
    assert ("one", "energy") == (found.model, found.head)
    assert result.models[0].ood["far"].metrics["energy"].auroc == found.mean_auroc
    assert found.interval.low < found.mean_auroc < found.interval.high
    assert ["msp"] == [rival.head for rival in found.rivals]
    assert "auroc" in result.models[0].ood["far"].intervals["energy"]


def test_without_an_ood_set_nothing_is_recommended():
    """And without bootstrap there are no intervals."""
    result = run({"one": NamedScorer()}, ID_IMAGES, {})

    assert result.recommendation is None
    assert {} == result.models[0].id.intervals


def test_measuring_is_counted_by_sets():
    """Each OOD set of each artefact once, after the images."""
    heard = []

    run(
        {"one": NamedScorer(), "two": NamedScorer()},
        ID_IMAGES,
        {"far": OOD_IMAGES, "near": images("ant_0.1")},
        bootstrap=Bootstrap(10),
        on_image=lambda: heard.append("image"),
        on_set=lambda: heard.append("set"),
    )

    assert [*["image"] * 16, *["set"] * 4] == heard


def test_artefacts_may_know_other_classes():
    """Only the artefact that has the images' classes reports an accuracy."""
    other = NamedScorer()
    other.metadata.classes = ("ant", "bee", "dog")

    result = run({"one": NamedScorer(), "two": other}, ID_IMAGES, {})

    assert [True, False] == [artifact.id.is_labelled for artifact in result.models]


def test_artefact_on_real_images(artifact_path, demo_images):
    """The whole way: scikit-learn on the artefact's own scores gives the same AUROC."""
    (artifact,) = open_artifacts([artifact_path])
    scorer = artifact.scorer
    id_images = read_images(demo_images / "test", scorer.metadata.classes)
    sets = {name: read_images(demo_images / name) for name in ("near", "far")}
    ood = parse_sets([], [str(demo_images / "near")], [str(demo_images / "far")])

    (result,) = evaluate(plan_evaluation([artifact], "test", id_images, ood)).models

    inside = scorer.score_files(id_images.paths)
    for name, images in sets.items():
        outside = scorer.score_files(images.paths)
        truth = np.repeat([0, 1], [len(id_images), len(images)])
        for head in scorer.heads:
            pooled = np.concatenate([inside.scores[head], outside.scores[head]])
            assert roc_auc_score(truth, pooled) == pytest.approx(
                result.ood[name].metrics[head].auroc, abs=1e-12
            )
    assert np.mean(inside.label_index == id_images.labels) == result.id.accuracy
    assert {} == result.id.seen
    assert {"near", "far", "all"} == set(result.groups)
    for head, on_id in result.id.heads.items():
        flagged = inside.scores[head] > np.array(on_id.thresholds)[inside.label_index]
        np.testing.assert_array_equal(inside.decisions[head], flagged)


def test_artefact_knows_its_training_images(artifact_path, demo_images):
    """Images that the artefact was trained or calibrated with are refused, or counted by role."""
    artifacts = open_artifacts([artifact_path])
    used = read_images(demo_images / "train").subset(np.arange(0, 1000, 20))
    outliers = read_images(demo_images / "outliers").subset(np.arange(9))
    sets = [Files("aux", outliers)]

    with pytest.raises(DataError, match=r"9 test images \(.*\) are among the outliers images"):
        plan_evaluation(artifacts, "train", used, sets)
    (result,) = evaluate(plan_evaluation(artifacts, "train", used, sets, allow_overlap=True)).models

    assert {"training", "calibration"} == result.id.seen.keys()
    # One image in twenty was used for validation, which chooses nothing.
    assert 40 <= sum(result.id.seen.values()) < 50
    assert {"outliers": 9} == result.ood["aux"].seen
