"""The figures of an evaluation: drawn from its fields, all of them, and from nothing else."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle, StepPatch
from PIL import Image

from edge_ood.errors import InputError
from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.results import ArtifactResult
from edge_ood.report.evaluation_drawings import drawings, shown_heads
from edge_ood.report.evaluation_figures import (
    MOST_CLASSES,
    class_figure,
    confidence_figure,
    corruption_figure,
    pvalue_figure,
    reliability_figure,
    roc_figure,
    score_figure,
)
from edge_ood.report.figure_folder import check_figure_folder, write_figures
from edge_ood.report.palette import ID_COLOUR, OOD_COLOUR


@pytest.fixture(scope="module")
def artifact(make_evaluation: Callable[..., Evaluation]) -> ArtifactResult:
    """One artefact with two heads."""
    return make_evaluation().models[0]


def lines(axes: Any) -> Mapping[str, Any]:
    """The lines of a plot by their labels."""
    return {line.get_label(): line for line in axes.lines}


def test_scores_are_the_histogram_and_the_curve(artifact: ArtifactResult) -> None:
    """Bars are the fractions of the document in percent, lines its rates, ID before OOD."""
    upper, lower = score_figure(artifact, "cats", "msp").axes
    outcome = artifact.ood["cats"]
    steps = [patch.get_data() for patch in upper.patches if isinstance(patch, StepPatch)]
    curves = lines(lower)

    for step, density in zip(
        steps[::2],
        (outcome.histograms["msp"].id_density, outcome.histograms["msp"].ood_density),
        strict=True,
    ):
        assert outcome.histograms["msp"].edges == pytest.approx(step.edges)
        assert [100 * share for share in density] == pytest.approx(step.values)
    assert [100 * r for r in outcome.curves["msp"].tpr] == list(curves["TPR, ID"].get_ydata())
    assert [100 * r for r in outcome.curves["msp"].fpr] == list(curves["FPR, OOD"].get_ydata())
    assert list(outcome.curves["msp"].thresholds) == list(curves["FPR, OOD"].get_xdata())
    assert curves["TPR, ID"].get_color() == ID_COLOUR
    assert curves["FPR, OOD"].get_color() == OOD_COLOUR


def with_thresholds(artifact: ArtifactResult, thresholds: tuple[float, ...]) -> ArtifactResult:
    """The same artefact with other thresholds of its head energy."""
    head = replace(artifact.id.heads["energy"], thresholds=thresholds)
    return replace(artifact, id=replace(artifact.id, heads={**artifact.id.heads, "energy": head}))


def test_one_threshold_is_a_line_and_several_are_a_band(artifact: ArtifactResult) -> None:
    """The line stands at the threshold, the band goes from the smallest to the largest."""
    single = score_figure(with_thresholds(artifact, (1.5, 1.5)), "cats", "energy").axes
    several = score_figure(with_thresholds(artifact, (1.5, 2.5, 2.0)), "cats", "energy").axes

    for axes in single:
        assert [1.5, 1.5] == list(lines(axes)["threshold"].get_xdata())
    for axes in several:
        (band,) = (p for p in axes.patches if p.get_label() == "thresholds")
        assert isinstance(band, Rectangle)
        assert (1.5, 1.0) == (band.get_x(), band.get_width())


@pytest.mark.parametrize("thresholds", [(math.inf,) * 3, ()])
def test_without_a_threshold_none_is_drawn(
    artifact: ArtifactResult, thresholds: tuple[float, ...]
) -> None:
    """A head that flags nothing has no line."""
    for axes in score_figure(with_thresholds(artifact, thresholds), "cats", "energy").axes:
        assert "threshold" not in lines(axes)


@pytest.mark.parametrize(("threshold", "is_visible"), [(-1.0, True), (6.0, True), (600.0, False)])
def test_a_threshold_beside_the_scores_comes_into_view(
    artifact: ArtifactResult, threshold: float, is_visible: bool
) -> None:
    """The axis grows to a near threshold, and not so far that the scores become a line."""
    upper, _ = score_figure(with_thresholds(artifact, (threshold,)), "cats", "energy").axes
    low, high = upper.get_xlim()

    assert is_visible == (low < threshold < high)
    assert low <= 0
    assert 5 <= high < 10


def test_roc_has_every_head_and_where_its_threshold_stands(artifact: ArtifactResult) -> None:
    """A curve begins where nothing is accepted; its dot is what the artefact really does."""
    (axes,) = roc_figure(artifact, "cats").axes
    for head, on_id in artifact.id.heads.items():
        curve, line = artifact.ood["cats"].curves[head], lines(axes)[head]
        assert [0, *(100 * rate for rate in curve.fpr)] == list(line.get_xdata())
        assert [0, *(100 * rate for rate in curve.tpr)] == list(line.get_ydata())
        dot = (100 * (1 - artifact.ood["cats"].flagged[head]), 100 * on_id.realised_tpr)
        assert dot in [
            (one.get_xdata()[0], one.get_ydata()[0])
            for one in axes.lines
            if one.get_marker() == "o"
        ]


@pytest.mark.parametrize(("auroc", "is_drawn"), [(0.95, True), (0.85, False)])
def test_a_crowded_corner_is_drawn_again(
    artifact: ArtifactResult, auroc: float, is_drawn: bool
) -> None:
    """Where all heads are good, the upper left corner has the same curves, larger."""
    outcome = artifact.ood["cats"]
    pairs = {"energy": 0.99, "msp": auroc}
    metrics = {head: replace(outcome.metrics[head], auroc=rate) for head, rate in pairs.items()}
    ood = {"cats": replace(outcome, metrics=metrics)}
    (axes,) = roc_figure(replace(artifact, ood=ood), "cats").axes
    corners = axes.child_axes

    assert is_drawn == bool(corners)
    for corner in corners:
        assert lines(corner)["msp"].get_xydata().tolist() == (
            lines(axes)["msp"].get_xydata().tolist()
        )
        assert corner.get_xlim()[1] <= 20
        assert corner.get_ylim()[0] >= 80


def test_the_primary_head_stands_out(artifact: ArtifactResult) -> None:
    """It is thicker than the others, and no two heads look alike."""
    shown = lines(roc_figure(replace(artifact, primary="msp"), "cats").axes[0])

    assert shown["msp"].get_linewidth() > shown["energy"].get_linewidth()
    assert shown["msp"].get_color() != shown["energy"].get_color()
    assert shown["msp"].get_linestyle() != shown["energy"].get_linestyle()


def test_reliability_shows_bins_where_they_are(artifact: ArtifactResult) -> None:
    """Each of 15 bars begins at its bin and is as high as its accuracy; an empty bin is bare."""
    bins = artifact.id.reliability
    accuracy = (math.nan, *bins.accuracy[1:])
    on_id = replace(
        artifact.id, reliability=replace(bins, accuracy=accuracy, count=(0,) + (7,) * 14)
    )
    upper, lower = reliability_figure(on_id).axes

    assert [100 * i / 15 for i in range(15)] == pytest.approx([b.get_x() for b in upper.patches])
    heights = [bar.get_height() for bar in upper.patches]
    assert [0, *(100 * rate for rate in bins.accuracy[1:])] == pytest.approx(heights)
    assert [0, *[7] * 14] == [bar.get_height() for bar in lower.patches]


def test_confidence_leaves_out_what_is_unknown(
    make_evaluation: Callable[..., Evaluation], artifact: ArtifactResult
) -> None:
    """Without labels there are no rows for right and wrong predictions."""
    unlabelled = make_evaluation(is_labelled=False).models[0]

    def rows(one: ArtifactResult) -> list[str]:
        return [text.get_text() for text in confidence_figure(one).axes[0].get_yticklabels()]

    assert ["ID", "ID, right", "ID, wrong", "cats", "noise"] == rows(artifact)
    assert ["ID", "cats", "noise"] == rows(unlabelled)


def test_pvalues_of_every_head_against_the_level(artifact: ArtifactResult) -> None:
    """The curve is the document's, the diagonal what a calibrated p-value keeps below."""
    (axes,) = pvalue_figure(artifact).axes
    curve = artifact.id.heads["msp"].pvalues

    assert [100 * rate for rate in curve.flagged] == list(lines(axes)["msp"].get_ydata())
    assert [0, 100] == list(lines(axes)["calibrated"].get_ydata())
    assert [100 * artifact.alpha] * 2 == list(lines(axes)["level in use"].get_xdata())


def test_classes_with_most_false_alarms_come_first(
    make_evaluation: Callable[..., Evaluation],
) -> None:
    """Of many classes the worst are shown, by the larger of both rates."""
    names = [f"class {i}" for i in range(50)]
    artifact = make_evaluation(classes=names).models[0]
    alarms = artifact.id.heads["energy"].classes
    worst = sorted(alarms, key=lambda c: -max(c.flagged_true, c.flagged_predicted))
    (axes,) = class_figure(artifact, "energy").axes

    shown = [text.get_text() for text in axes.get_yticklabels()]
    assert [alarm.name for alarm in worst[:MOST_CLASSES]] == shown


def test_classes_that_were_not_met_are_left_out(
    make_evaluation: Callable[..., Evaluation],
) -> None:
    """Neither a class without images nor, without labels, the true class is drawn."""
    artifact = make_evaluation(is_labelled=False, classes=("ant", "bee", "cow")).models[0]
    head = artifact.id.heads["energy"]
    counts = ((0, 0), (0, 7), (0, 9))
    classes = tuple(
        replace(alarms, n_true=n_true, flagged_true=math.nan, n_predicted=n_predicted)
        for alarms, (n_true, n_predicted) in zip(head.classes, counts, strict=True)
    )
    heads = {"energy": replace(head, classes=classes)}
    (axes,) = class_figure(replace(artifact, id=replace(artifact.id, heads=heads)), "energy").axes

    assert {"bee", "cow"} == {text.get_text() for text in axes.get_yticklabels()}
    assert "by predicted class" in lines(axes)
    assert "by true class" not in lines(axes)


def test_corruption_begins_with_the_clean_images(artifact: ArtifactResult) -> None:
    """Strength 0 is the ID images themselves."""
    (axes,) = corruption_figure(artifact, artifact.corruptions[0]).axes
    flagged = [1 - artifact.id.heads["msp"].realised_tpr]
    flagged += [result.flagged["msp"] for result in artifact.corruptions[0].strengths]

    assert list(range(6)) == list(lines(axes)["msp"].get_xdata())
    assert [100 * rate for rate in flagged] == list(lines(axes)["msp"].get_ydata())
    assert lines(axes)["accuracy"].get_ydata()[0] == 100 * artifact.id.accuracy


def changed(value: Any, path: tuple[str | int, ...]) -> Any:
    """The same results with one number changed a little."""
    if not path:
        return value + 1 if isinstance(value, int) else value * 0.9
    name, rest = path[0], path[1:]
    if isinstance(value, tuple):
        assert isinstance(name, int)
        return (*value[:name], changed(value[name], rest), *value[name + 1 :])
    if isinstance(value, Mapping):
        return {**value, name: changed(value[name], rest)}
    return replace(value, **{str(name): changed(getattr(value, str(name)), rest)})


ID, SET, HEAD = ("models", 0, "id"), ("models", 0, "ood", "cats"), ("id", "heads", "energy")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (("scores", "cats", "energy"), (*SET, "histograms", "energy", "id_density", 5)),
        (("scores", "cats", "energy"), (*SET, "histograms", "energy", "ood_density", 5)),
        (("scores", "cats", "energy"), (*SET, "curves", "energy", "tpr", 99)),
        (("scores", "cats", "energy"), ("models", 0, *HEAD, "thresholds", 0)),
        (("ROC", "cats"), (*SET, "curves", "msp", "fpr", 99)),
        (("ROC", "cats"), (*SET, "flagged", "msp")),
        (("reliability",), (*ID, "reliability", "accuracy", 4)),
        (("reliability",), (*ID, "reliability", "count", 4)),
        (("confidence",), (*SET, "mean_max_probability")),
        (("p-values",), ("models", 0, *HEAD, "pvalues", "flagged", 150)),
        (("small p-values",), ("models", 0, *HEAD, "pvalues", "flagged", 20)),
        (("false alarms by class", "energy"), ("models", 0, *HEAD, "classes", 1, "flagged_true")),
        (("corrupted", "blur"), ("models", 0, "corruptions", 0, "strengths", 2, "accuracy")),
        (("auroc",), ("models", 0, "groups", "near", "metrics", "msp", "auroc")),
        (("auroc",), ("models", 0, "groups", "far", "intervals", "msp", "auroc", "low")),
    ],
)
def test_a_figure_changes_with_its_fields_and_no_other(
    make_evaluation: Callable[..., Evaluation],
    key: tuple[str, ...],
    path: tuple[str | int, ...],
) -> None:
    """A change of one number changes what is drawn of it, and nothing of another artefact."""
    before = make_evaluation(models=("a", "b"))
    after = changed(before, path)

    def drawn(evaluation: Evaluation, name: str) -> list[Any]:
        return contents(drawings(evaluation)[(key[0], name, *key[1:])].draw())

    assert drawn(before, "a") != drawn(after, "a")
    assert drawn(before, "b") == drawn(after, "b")


def contents(figure: Any) -> list[Any]:
    """Every coordinate in a figure."""
    found: list[Any] = []
    for axes in figure.axes:
        found += [line.get_xydata().tolist() for line in axes.lines]
        for patch in axes.patches:
            found.append(patch.get_path().vertices.tolist())
            found.append(patch.get_patch_transform().frozen().to_values())
        assert not any(isinstance(child, PolyCollection) for child in axes.collections)
    return found


def test_every_model_set_and_head_has_its_figures(
    make_evaluation: Callable[..., Evaluation],
) -> None:
    """Scores by set and head, ROC by set, and names that are all different."""
    evaluation = make_evaluation(models=("a", "b"), heads=("energy", "msp", "odin"))
    found = drawings(evaluation)

    for name in ("a", "b"):
        for ood in ("cats", "noise"):
            assert ("ROC", name, ood) in found
            assert {("scores", name, ood, h) for h in ("energy", "msp", "odin")} <= set(found)
    assert len({drawing.name for drawing in found.values()}) == len(found)


def test_shown_heads_are_the_primary_and_the_best(
    make_evaluation: Callable[..., Evaluation],
) -> None:
    """Of each artefact its own best, recommended or not; without OOD the primary alone."""
    made = make_evaluation(models=("a", "b"), heads=("energy", "msp", "odin"))
    assert made.recommendation is not None
    order = [("a", "energy"), ("b", "energy"), ("b", "msp"), ("a", "msp")]
    rivals = tuple(
        replace(made.recommendation.rivals[0], model=name, head=head) for name, head in order
    )
    best = replace(made.recommendation, model="a", head="odin", rivals=rivals)
    evaluation = replace(made, recommendation=best)
    alone = make_evaluation(sets={})

    shown = [shown_heads(evaluation, m) for m in evaluation.models]
    assert [("energy", "odin"), ("energy",)] == shown
    assert ("energy",) == shown_heads(alone, alone.models[0])


@pytest.mark.parametrize(
    ("sets", "shown"),
    [
        ({"a": "near", "b": "far"}, ("near", "far", "all")),
        ({"a": "near", "b": "near"}, ("near",)),
        ({"a": "far", "b": ""}, ("far", "all")),
        ({"a": ""}, ("all",)),
    ],
)
def test_groups_of_the_same_sets_are_shown_once(
    make_evaluation: Callable[..., Evaluation], sets: dict[str, str], shown: tuple[str, ...]
) -> None:
    """All sets together are not shown again where one group has them all."""
    assert shown == make_evaluation(sets=sets).models[0].distinct_groups


def test_figures_are_files_with_safe_names(
    make_evaluation: Callable[..., Evaluation], tmp_path: Path
) -> None:
    """Any name gives a PNG and an SVG in the folder itself; what was there before stays."""
    names = ("../up", "..", "A", "a", "$x_{$", "con", "x" * 300)
    evaluation = make_evaluation(heads=("energy",), sets=dict.fromkeys(names, ""))
    wanted = [d for k, d in drawings(evaluation).items() if k[0] == "ROC"]
    (tmp_path / "other.txt").write_text("stays")

    write_figures(wanted, tmp_path)

    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"other.txt", *(f"{d.name}{end}" for d in wanted for end in (".png", ".svg"))}
    assert len({name.lower() for name in written}) == 1 + 2 * len(names)
    assert all(re.fullmatch("[a-z0-9][a-z0-9._-]{1,150}", name) for name in written)
    with Image.open(tmp_path / f"{wanted[0].name}.png") as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 100


def test_a_figure_that_fails_leaves_nothing(
    make_evaluation: Callable[..., Evaluation], tmp_path: Path
) -> None:
    """Files appear when all of them are drawn."""
    first, second = list(drawings(make_evaluation()).values())[:2]

    def fail() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_figures([first, replace(second, draw=fail)], tmp_path)

    assert [] == list(tmp_path.iterdir())


def test_a_private_figure_stays_private(
    make_evaluation: Callable[..., Evaluation], tmp_path: Path
) -> None:
    """The new one has the permissions of the old one."""
    drawing = next(iter(drawings(make_evaluation()).values()))
    old = tmp_path / f"{drawing.name}.png"
    old.touch()
    old.chmod(0o600)

    write_figures([drawing], tmp_path)

    assert 0 < old.stat().st_size
    assert 0o600 == old.stat().st_mode & 0o777


def test_a_folder_with_content_needs_force(tmp_path: Path) -> None:
    """An empty or a missing folder is fine, a file never is."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")

    check_figure_folder(tmp_path / "empty", force=False)
    check_figure_folder(tmp_path / "new" / "deep", force=False)
    check_figure_folder(tmp_path / "full", force=True)
    with pytest.raises(InputError, match="is not empty") as caught:
        check_figure_folder(tmp_path / "full", force=False)
    assert "--force" in str(caught.value.hint)
    with pytest.raises(InputError, match="is a file"):
        check_figure_folder(tmp_path / "full" / "x", force=True)
    assert not (tmp_path / "new").exists()
