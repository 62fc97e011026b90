"""Shifted sets from `DIR` and `NAME=DIR`, read, scored and measured on known answers."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from named_scores import ID_IMAGES, OOD_IMAGES, Files, NamedScorer, evaluate, images, named, run
from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

from edge_ood.errors import DataError, InputError
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.evaluation.results import ArtifactResult
from edge_ood.evaluation.sets import parse_sets
from edge_ood.evaluation.shared_images import SharedImagesWarning
from edge_ood.evaluation.shifted import ShiftedSet, parse_shifted

CLASSES = ("ant", "bee", "cat")
# Predicted class and score, below the folder of the true class.
MOVED = {
    "ant": ("ant_0.15", "ant_0.55", "bee_0.8"),
    "bee": ("ant_0.45", "bee_0.3", "bee_0.95"),
    "cat": ("cat_0.65",),
}
TRUTH = [0, 0, 0, 1, 1, 1, 2]
PREDICTED = [0, 0, 1, 0, 1, 1, 2]
ENERGY = np.array([0.15, 0.55, 0.8, 0.45, 0.3, 0.95, 0.65], np.float32)
KNOWN_ENERGY = np.array([0.1, 0.2, 0.6, 0.7], np.float32)
OOD_ENERGY = np.array([0.4, 0.8, 0.9], np.float32)

Write = Callable[[str, dict[str, tuple[str, ...]]], ShiftedSet]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a set of files in class folders, each with a content of its own."""

    def written(name: str, folders: dict[str, tuple[str, ...]]) -> ShiftedSet:
        for folder, files in folders.items():
            (tmp_path / name / folder).mkdir(parents=True, exist_ok=True)
            for file in files:
                (tmp_path / name / folder / f"{file}.png").write_text(f"{name}/{folder}/{file}")
        return ShiftedSet(name, tmp_path / name)

    return written


def measured(*sets: Files | ShiftedSet) -> ArtifactResult:
    """One artefact on the ID images, an OOD set and others."""
    given = [Files("far", OOD_IMAGES, "far"), *sets]
    plan = plan_evaluation([named(NamedScorer())], "set", ID_IMAGES, given)
    (result,) = evaluate(plan).models
    return result


def fpr95(known: np.ndarray, ood: np.ndarray) -> float:
    """OOD accepted where 95 % of the known images are, by scikit-learn's ROC curve."""
    is_known = np.arange(len(known) + len(ood)) < len(known)
    scores = -np.concatenate([known, ood])
    accepted_ood, accepted, _ = roc_curve(is_known, scores, drop_intermediate=False)
    return float(accepted_ood[np.argmax(accepted >= 0.95)])


def test_flag_rate_and_accuracies_are_those_of_the_shifted_images(write: Write) -> None:
    """By scikit-learn, on the answers in the files' names."""
    flagged = ENERGY > 0.5

    found = measured(write("moved", MOVED)).shifted["moved"]

    energy, msp = found.heads["energy"], found.heads["msp"]
    assert (7, True, {}) == (found.n, found.is_labelled, found.seen)
    assert accuracy_score(TRUTH, PREDICTED) == found.accuracy
    assert (flagged.mean(), 0) == (energy.flagged, msp.flagged)
    kept = np.flatnonzero(~flagged)
    expected = accuracy_score(np.take(TRUTH, kept), np.take(PREDICTED, kept))
    assert (expected, found.accuracy) == (energy.accepted_accuracy, msp.accepted_accuracy)
    # Every prediction is half sure, up to the rounding of float32 logits.
    assert 0.5 == pytest.approx(found.mean_max_probability, abs=1e-6)
    assert 5 / 7 - 0.5 == pytest.approx(found.expected_calibration_error, abs=1e-6)


def test_the_most_suspicious_shifted_images_come_first(write: Write) -> None:
    """With what they are and what they are taken for."""
    heads = measured(write("moved", MOVED)).shifted["moved"].heads

    one, two = heads["energy"].suspicious[:2]
    assert ("bee_0.95.png", "ant/bee_0.8.png") == (
        one.path.rpartition("/")[2],
        two.path[-len("ant/bee_0.8.png") :],
    )
    assert [("bee", "bee", True), ("bee", "ant", True)] == [
        (e.label, e.true_label, e.is_ood) for e in (one, two)
    ]
    assert heads["msp"].suspicious[0].path.endswith("ant_0.15.png")


def test_the_full_spectrum_has_shifted_images_as_id(write: Write) -> None:
    """AUROC and FPR95 of both together by scikit-learn; the rates of ID alone stay theirs."""
    without = measured()
    known = np.concatenate([KNOWN_ENERGY, ENERGY])
    is_ood = np.arange(len(known) + 3) >= len(known)

    found = measured(write("moved", MOVED))

    pair = found.shifted["moved"].full_spectrum["far"].metrics["energy"]
    assert (11, 3) == (pair.n_id, pair.n_ood)
    assert roc_auc_score(is_ood, np.concatenate([known, OOD_ENERGY])) == pytest.approx(pair.auroc)
    assert fpr95(known, OOD_ENERGY) == pytest.approx(pair.fpr95_id_positive)
    assert fpr95(KNOWN_ENERGY, OOD_ENERGY) != pair.fpr95_id_positive
    assert (without.ood, without.groups) == (found.ood, found.groups)
    assert str(without.id) == str(found.id)  # with NaN in it


def test_without_ood_sets_there_is_no_full_spectrum(write: Write) -> None:
    """Flag rate and accuracy need none."""
    moved = write("moved", MOVED)
    plan = plan_evaluation([named(NamedScorer())], "set", ID_IMAGES, [moved])

    (result,) = evaluate(plan).models

    assert {} == result.shifted["moved"].full_spectrum
    assert accuracy_score(TRUTH, PREDICTED) == result.shifted["moved"].accuracy
    assert (11, 0) == (plan.n_images, plan.n_comparisons)


def test_images_outside_class_folders_have_no_accuracy(write: Write) -> None:
    """What is flagged is known all the same."""
    flat = {"": tuple(name for names in MOVED.values() for name in names)}

    found = measured(write("flat", flat)).shifted["flat"]

    assert not found.is_labelled
    assert math.isnan(found.accuracy)
    assert math.isnan(found.expected_calibration_error)
    assert math.isnan(found.heads["energy"].accepted_accuracy)
    assert (ENERGY > 0.5).mean() == found.heads["energy"].flagged
    assert "" == found.heads["energy"].suspicious[0].true_label


def test_nothing_accepted_has_no_accuracy_of_accepted(write: Write) -> None:
    """A head that flags every shifted image."""
    found = measured(write("dark", {"ant": ("ant_0.9", "ant_0.8")})).shifted["dark"]

    assert (1, 1) == (found.accuracy, found.heads["energy"].flagged)
    assert math.isnan(found.heads["energy"].accepted_accuracy)


@pytest.mark.parametrize(
    ("folders", "message", "hint"),
    [
        ({"ant": ("ant_0.1",), "dog": ("ant_0.2",)}, "/dog' of the shifted set 'x' is no", "'ant'"),
        ({"emu": ("ant_0.1",), "dog": ("ant_0.2",)}, r"is no class .* \(2 folders are", "--ood"),
        ({"": ("ant_0.1",), "ant": ("ant_0.2",)}, "'.*/ant_0.1.png' lies beside the cla", "move"),
        ({"Ant": ("ant_0.1",)}, "which differ in Unicode form, case or blanks alone", "rename"),
        ({}, "no folder '.*/x'", "check the path"),
    ],
)
def test_a_folder_that_is_no_class_is_one_clear_error(
    write: Write, folders: dict[str, tuple[str, ...]], message: str, hint: str
) -> None:
    """It names the folder, the set and the artefact, before anything is scored."""
    shifted = write("x", folders)

    with pytest.raises(DataError, match=message) as caught:
        measured(shifted)

    assert hint in (caught.value.hint or "")
    assert "\n" not in str(caught.value)


def test_every_artefact_has_to_have_the_classes(write: Write) -> None:
    """A class of one artefact alone is none of the other."""
    other = NamedScorer()
    other.metadata.classes = ("ant", "bee")
    artifacts = [named(NamedScorer(), "three"), named(other, "two")]

    with pytest.raises(DataError, match=r"/cat' of the shifted set 'moved' is no class of '\./two"):
        plan_evaluation(artifacts, "set", ID_IMAGES, [write("moved", MOVED)])


def test_shifted_images_are_no_other_test_images(write: Write) -> None:
    """The ID images again are warned of by the name of the set."""
    moved = write("moved", MOVED)
    first = next(moved.source.rglob("*.png"))
    shutil.copy(first, first.with_name("bee_0.1.png"))

    with pytest.warns(SharedImagesWarning, match="1 of 8 images of the shifted set 'moved' are"):
        measured(moved)


def test_shifted_sets_are_named_like_other_sets(tmp_path: Path) -> None:
    """By their folder, with parents where that is taken, or by hand."""
    ood = parse_sets(["/a/test", "dtd=/a/textures"])
    (tmp_path / "a=b").mkdir()

    found = parse_shifted(
        ["/b/test", "/c/night", "rain=/c/wet", "/d/night", f"{tmp_path}/a=b"], ood
    )

    assert ["b/test", "c/night", "rain", "d/night", "a=b"] == [one.name for one in found]
    assert Path("/c/wet") == found[2].source


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (["x=/a", "x=/b"], "'x' is given twice", "NAME=DIR"),
        (["/a/b", "/a/../a/b"], "'/a/../a/b' is given twice|'/a/b' is given twice", "NAME=DIR"),
        (["dtd=/b"], "'dtd' is given twice", "NAME=DIR"),
        (["=/a"], "cannot read set '=/a'", "write DIR or NAME=DIR"),
        (["x="], "cannot read set 'x='", "write DIR or NAME=DIR"),
    ],
)
def test_repeated_and_half_written_sets_are_refused(
    given: list[str], message: str, hint: str
) -> None:
    """Among themselves, and beside OOD sets."""
    with pytest.raises(InputError, match=message) as caught:
        parse_shifted(given, parse_sets(["dtd=/a"]))

    assert hint in (caught.value.hint or "")


def test_several_artefacts_score_the_same_shifted_files(write: Write) -> None:
    """Each has results of its own, and all images count for the progress."""
    moved = write("moved", MOVED)
    artifacts = [named(NamedScorer(), name) for name in ("one", "two")]
    scored: list[int] = []
    plan = plan_evaluation(
        artifacts,
        "set",
        ID_IMAGES,
        [Files("far", OOD_IMAGES), Files("near", images("ant_0.7")), moved],
    )

    result = evaluate(plan, on_image=lambda: scored.append(1))

    assert [["moved"]] * 2 == [list(artifact.shifted) for artifact in result.models]
    assert 2 * (4 + 3 + 1 + 7) == plan.n_images == len(scored)
    assert 2 * 2 * (1 + 1) == plan.n_comparisons


def test_the_recommendation_is_not_moved(write: Write) -> None:
    """A head is chosen by the OOD sets alone."""
    plain = run({"named": NamedScorer()}, ID_IMAGES, {"far": OOD_IMAGES}).recommendation
    plan = plan_evaluation(
        [named(NamedScorer())], "set", ID_IMAGES, [Files("far", OOD_IMAGES), write("m", MOVED)]
    )

    assert plain == evaluate(plan).recommendation
