"""Evaluation of artefacts: of any objective, of several at once, and of a real one."""

import numpy as np
import pytest
from named_scores import ID_IMAGES, OOD_IMAGES, Files, NamedScorer, evaluate, images, measure, run
from sklearn.metrics import roc_auc_score

from edge_ood.artifact.packed import Manifest
from edge_ood.errors import DataError
from edge_ood.evaluation.artifacts import open_artifacts
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.evaluation.sets import parse_sets
from edge_ood.evaluation.values import Bootstrap
from edge_ood.images.folders import read_images
from edge_ood.images.reading import content_hash

# What shares images here does so on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore::edge_ood.evaluation.shared_images.SharedImagesWarning"
)

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


def test_artefact_on_real_images(artifact_path, digit_folders):
    """The whole way: scikit-learn on the artefact's own scores gives the same AUROC."""
    (artifact,) = open_artifacts([artifact_path])
    scorer = artifact.scorer
    id_images = read_images(digit_folders / "test", scorer.metadata.classes)
    sets = {name: read_images(digit_folders / name) for name in ("near", "far")}
    ood = parse_sets([], [str(digit_folders / "near")], [str(digit_folders / "far")])

    (result,) = evaluate(plan_evaluation([artifact], "test", id_images, ood)).models

    inside = scorer.score_files(id_images.paths)
    for name, ood_images in sets.items():
        outside = scorer.score_files(ood_images.paths)
        truth = np.repeat([0, 1], [len(id_images), len(ood_images)])
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


def test_artefact_knows_its_training_images(artifact_path, digit_folders):
    """Images that the artefact was trained or calibrated with are refused, or counted by role."""
    artifacts = open_artifacts([artifact_path])
    used = read_images(digit_folders / "train").subset(np.arange(0, 1000, 20))
    outliers = read_images(digit_folders / "outliers").subset(np.arange(9))
    sets = [Files("aux", outliers)]

    with pytest.raises(DataError, match=r"9 test images \(.*\) are among the outliers images"):
        plan_evaluation(artifacts, "train", used, sets)
    (result,) = evaluate(plan_evaluation(artifacts, "train", used, sets, allow_overlap=True)).models

    # One image in twenty was used for validation, which chooses the temperature.
    assert {"training", "calibration", "validation"} == result.id.seen.keys()
    assert 50 == sum(result.id.seen.values())
    assert {"outliers": 9} == result.ood["aux"].seen
