"""The page about an artefact: numbers of the file and of its parity report, and what follows."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from scipy.stats import beta

from edge_ood.artifact.metadata import Metadata
from edge_ood.calibration.guarantee import Changes
from edge_ood.errors import ArtifactError
from edge_ood.files.output import report_path
from edge_ood.graph.decision import read_decision
from edge_ood.images.folders import find_images
from edge_ood.images.splits import halves_by_hash
from edge_ood.parity.extremes import extremes
from edge_ood.report import export_page as module
from edge_ood.report.export_document import Described, calibration_scores, describe
from edge_ood.report.export_figures import (
    class_scores_figure,
    epsilon_figure,
    parity_figure,
    score_figure,
    shares_figure,
)
from edge_ood.report.export_page import export_page as page_of
from edge_ood.runtime.calibrate import calibrate_artifact, set_thresholds
from edge_ood.runtime.scorer import Scorer

ALPHA = 0.1
NUDGE = 1e-3  # of the spread: calibration raises all scores by so much


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take nearly all the time of a page."""
    monkeypatch.setattr(module, "svg", lambda *_, **__: "")
    for name in ("parity", "epsilon", "shares", "score", "class_scores"):
        monkeypatch.setattr(module, f"{name}_figure", lambda *_: None)


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A copy of the artefact and of its report, to be changed."""
    shutil.copy(report_path(exported), tmp_path)
    return Path(shutil.copy(exported, tmp_path))


@pytest.fixture(scope="module")
def described(exported: Path) -> Described:
    """What the page shows."""
    return describe(exported)


@pytest.fixture(scope="module")
def per_class(exported: Path, colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artefact with thresholds for each predicted class."""
    path = tmp_path_factory.mktemp("per_class") / "file.onnx"
    images = find_images(colours / "calibration")
    changes = Changes(per_class=True)
    calibrate_artifact(exported, images, changes=changes, output=path, provider="cpu")
    return path


def sources(path: Path) -> dict[str, Any]:
    """What file and report say, read without the page's help."""
    metadata: Metadata = Scorer(path, provider="cpu").metadata
    return {
        "file": {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "n_bytes": path.stat().st_size,
        },
        "metadata": json.loads(json.dumps(asdict(metadata))),
        "parity": json.loads(report_path(path).read_text("utf-8")),
        "choices": metadata.provenance["choices"],
        "comparison": metadata.comparison,
    }


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("name", ["exported", "hostile_export"])
def test_every_field_is_that_of_file_or_report(
    name: str,
    request: pytest.FixtureRequest,
    contents: Callable[[str], Any],
    wrong_fields: Callable[[str, Any], list[tuple[str, str]]],
) -> None:
    """Metadata, parity, choices, comparison, hash and size are as they stand there."""
    path = request.getfixturevalue(name)
    page, said = page_of(path), sources(path)

    wrong = wrong_fields(page, {**describe(path).document, **said})

    shown = {pointer.split("/")[1] for pointer, _, _ in contents(page).fields}
    assert [] == [field for field in wrong if "\\" not in field[1]]  # what was made printable
    assert {"file", "metadata", "parity", "choices"} <= shown
    assert (name == "hostile_export") == ("comparison" in shown)


def test_what_follows_agrees_with_scipy(exported: Path, described: Described) -> None:
    """False alarms per 1,000 and their interval are those of the beta distribution of n and k."""
    calibration = Scorer(exported).metadata.calibration

    for score in described.document["scores"]:
        n = calibration.combined_n if score["name"] == "combined" else calibration.n
        rank = int(np.ceil((n + 1) * (1 - ALPHA)))
        rate = beta(n + 1 - rank, rank)
        assert score["images"] == n
        assert score["threshold"] == calibration.thresholds[score["name"]]
        assert score["per_thousand"]["mean"] == pytest.approx(1000 * rate.mean())
        ends = [score["per_thousand"][end] for end in ("low", "high")]
        assert ends == pytest.approx([1000 * rate.ppf(0.05), 1000 * rate.ppf(0.95)], rel=1e-6)


def test_a_pvalue_is_so_small_from_the_score_on(exported: Path, described: Described) -> None:
    """Just above each score of the table the p-value is at most the level, and at it, larger."""
    decision = read_decision(onnx.load(exported), Scorer(exported).metadata.head_names)
    label = np.zeros(1, np.int64)
    rows = described.document["pvalues"]

    levels = [row["level"] for row in rows]
    assert sorted(levels, reverse=True) == levels
    for row in rows:
        at = np.float32(row["above"])
        above = np.nextafter(at, np.float32(np.inf))
        level = np.float32(row["level"])
        assert decision.pvalue("combined", [above], label)[0] <= level
        assert decision.pvalue("combined", [at], label)[0] > level
    threshold = Scorer(exported).metadata.calibration.thresholds["combined"]
    assert threshold == next(row["above"] for row in rows if row["level"] == ALPHA)
    assert decision.table_of("combined").pvalues.min() == np.float32(levels[-1])


def test_scores_are_those_of_the_calibration_images(
    exported: Path, colours: Path, described: Described
) -> None:
    """All of them, raised by the nudge; of the combined score those of the second half."""
    scores = Scorer(exported, provider="cpu").score_files(find_images(colours / "calibration"))
    second = ~halves_by_hash(scores.hashes)

    for name in described.decision.outputs:
        (kept,) = calibration_scores(described, name)
        chosen = second if name == "combined" else slice(None)
        expected = np.sort(scores.scores[name][chosen])
        spread = np.ptp(expected)
        np.testing.assert_allclose(kept.values, expected, rtol=1e-5, atol=2 * NUDGE * spread)
        np.testing.assert_allclose(kept.levels * len(expected), np.arange(1, len(expected) + 1))
        assert described.metadata.calibration.thresholds[name] == kept.threshold


def test_each_class_has_its_calibration_scores(per_class: Path, colours: Path) -> None:
    """By predicted class, with the class's own threshold and the rate of its own images."""
    described = describe(per_class)
    scores = Scorer(per_class, provider="cpu").score_files(find_images(colours / "calibration"))

    by_class = calibration_scores(described, "energy")

    for label, kept in enumerate(by_class):
        expected = np.sort(scores.scores["energy"][scores.label_index == label])
        n = len(expected)
        rank = int(np.ceil((n + 1) * (1 - ALPHA)))
        row = described.document["classes"][label]
        np.testing.assert_allclose(kept.values, expected, atol=2 * NUDGE * np.ptp(expected))
        assert (described.metadata.classes[label], n) == (kept.name, row["images"])
        assert row["rate"]["mean"] == pytest.approx(beta(n + 1 - rank, rank).mean())
        assert (
            row["thresholds"]["energy"]
            == kept.threshold
            == pytest.approx(expected[rank - 1], abs=0.1)
        )
    assert 3 == len(by_class)


@pytest.mark.usefixtures("no_figures")
def test_per_class_the_page_speaks_of_classes(
    per_class: Path, check_page: Callable[..., None]
) -> None:
    """There is no rate of all images to show, and a table by predicted class."""
    page = page_of(per_class)

    check_page(page)
    assert "false alarms to expect per 1,000" not in page
    assert "By predicted class" in page
    assert "same predicted class" in page
    assert "so for every predicted class." in page


def test_a_figure_of_many_classes_is_cut_and_says_so(
    per_class: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table has all of them."""
    drawn: list[int] = []
    monkeypatch.setattr(module, "svg", lambda *_, **__: "")
    monkeypatch.setattr(module, "_MOST_CLASSES", 2)
    monkeypatch.setattr(module, "class_scores_figure", lambda scores, _: drawn.append(len(scores)))

    captions = [caption for _, caption in module._score_figures(describe(per_class))]

    assert [2, 2, 2, 2] == drawn
    assert ["The first 2."] * 4 == captions


def test_parts_make_up_the_file(exported: Path, described: Described) -> None:
    """Every byte is in one part."""
    sizes = [part["size_bytes"] for part in described.document["parts"]]

    assert exported.stat().st_size == sum(sizes)


def test_the_worst_cases_are_those_of_the_report(exported: Path, described: Described) -> None:
    """Of each output that may be off, the largest share of what is allowed, the largest first."""
    report = json.loads(report_path(exported).read_text("utf-8"))
    shares = {
        output["output"]: max(
            case["error"] / case["allowed"]
            for batch in output["batches"]
            for case in batch["worst"]
        )
        for output in report["outputs"]
        if output["batches"][0]["worst"][0]["allowed"]
    }

    worst = described.document["worst"]

    assert shares == {case["output"]: case["share"] for case in worst}
    assert sorted(shares.values(), reverse=True) == [case["share"] for case in worst]
    assert {"energy", "mahalanobis", "logits"} <= set(shares)


@pytest.mark.usefixtures("no_figures")
def test_a_page_after_calibration_tells_which_file_was_compared(copy: Path, colours: Path) -> None:
    """It names the hash of the file as it is, and says that the report is of the file before."""
    before = hashlib.sha256(copy.read_bytes()).hexdigest()
    fresh = page_of(copy)
    calibrate_artifact(copy, find_images(colours / "calibration"), provider="cpu")

    page = page_of(copy)

    after = hashlib.sha256(copy.read_bytes()).hexdigest()
    assert "calibrated anew since" not in fresh
    assert "calibrated anew since" in page
    assert before in page
    assert after in page
    assert 2 == len(describe(copy).document["calibrations"])


@pytest.mark.usefixtures("no_figures")
def test_a_manual_threshold_guarantees_nothing(copy: Path) -> None:
    """Where the user's threshold decides, no number of false alarms is shown for it."""
    set_thresholds(copy, {"combined": 1.5})

    page, document = page_of(copy), describe(copy).document

    assert "by a manual threshold, for which no rate is guaranteed" in page
    manual = {score["name"]: score["manual"] for score in document["scores"]}
    assert {"odin": False, "energy": False, "mahalanobis": False, "combined": True} == manual
    assert "false alarms to expect per 1,000" not in page


CHOSEN = {
    "chosen_on": "calibration",
    "asked_for": False,
    "images": 321,
    "ece_before": 0.0411,
    "ece_after": 0.0125,
    "why": "",
}


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    ("record", "text", "fields"),
    [
        (
            CHOSEN,
            "the one at which",
            {"temperature": "1.75", "images": "321", "ece_before": "4.1%", "ece_after": "1.2%"},
        ),
        (
            {**CHOSEN, "why": "do not tell <b> from it"},
            "images do not tell &lt;b&gt; from it",
            {"temperature": "1.75", "images": "321", "ece_before": "4.1%"},
        ),
        ({"chosen_on": "", "asked_for": True}, "It was asked for", {"temperature": "1.75"}),
        ({"chosen_on": "", "asked_for": False}, "Nothing was chosen", {"temperature": "1.75"}),
        ("damaged", "Nothing was chosen", {"temperature": "1.75"}),
    ],
)
def test_the_temperature_is_said_with_what_it_does(
    exported: Path,
    change_artefact: Callable[..., Path],
    contents: Callable[[str], Any],
    record: Any,
    text: str,
    fields: dict[str, str],
) -> None:
    """Where it is from, and the calibration error before and after."""
    path = change_artefact(exported, temperature=1.75, provenance={"temperature": record})
    page = page_of(path)

    assert text in page[page.index('id="probabilities"') : page.index('id="parity"')]
    start = "#/probabilities/"
    shown = {k.removeprefix(start): v for k, _, v in contents(page).fields if k.startswith(start)}
    assert fields == shown


@pytest.mark.usefixtures("no_figures")
def test_a_page_without_report_says_so(copy: Path, check_page: Callable[[str], None]) -> None:
    """The report may be deleted; the page is sound and does not invent what it cannot know."""
    report_path(copy).unlink()

    page = page_of(copy)

    check_page(page)
    assert "Its parity report is not beside it." in page
    assert "largest error, of what is allowed" not in page


def test_pictures_are_of_what_was_compared(copy: Path, tmp_path: Path) -> None:
    """A file that is another one by now has no picture; an extreme is drawn anew."""
    report = json.loads(report_path(copy).read_text("utf-8"))
    picture, other = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(extremes(16)["noise 1"]).save(picture)
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    Image.fromarray(extremes(16)["noise 2"]).save(other)
    images = {str(picture): digest, str(other): digest, "noise 3": None, "noise 99": None}
    report["images"] = [{"image": k, "content_hash": v} for k, v in images.items()]
    for output, name in zip(report["outputs"], [*images, *images, *images], strict=False):
        for batch in output["batches"]:
            batch["worst"] = [{"image": name, "error": 1.0, "allowed": 2.0}]
    report_path(copy).write_text(json.dumps(report), "utf-8")
    document = describe(copy).document

    found = {thumb.name: thumb.image for thumb in module._thumbs(document, 16)}

    assert {str(picture): True, str(other): False, "noise 3": True, "noise 99": False} == {
        name: image is not None for name, image in found.items()
    }


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    "provenance",
    [
        {"choices": "none"},
        {"choices": {"odin": []}},
        {"choices": {"odin": {"epsilon": {"epsilon": "x"}}}},
        {"choices": {"odin": {"epsilon": {**dict.fromkeys("ab", 1), "curve": {"x": 1.0}}}}},
        {"choices": {"odin": {"weights": {"source": "a", "by_layer": {"a": None}}}}},
        {"choices": {"odin": {"weights": {"source": "a", "by_layer": {}}}}},
        {"choices": {"odin": {"primary": {"why": 1}}}},
        {"choices": {"odin": {"primary": {"why": "a", "auroc": {"a": {"near": "b"}}}}}},
        {"choices": {"odin": {"primary": {"why": "a", "auroc": {"a": {"b": 1}, "c": {"d": 1}}}}}},
    ],
)
def test_choices_that_are_not_ours_are_left_out(
    exported: Path, change_artefact: Callable[..., Path], provenance: dict[str, Any]
) -> None:
    """Provenance is free text to everyone else."""
    path = change_artefact(exported, provenance=provenance, comparison={"images": "many"})

    document = describe(path).document

    assert not any(document["choices"].values())
    assert document["comparison"] is None
    assert "Input and outputs" in page_of(path)


@pytest.mark.usefixtures("no_figures")
def test_what_decides_is_shown_with_the_reason(
    exported: Path, change_artefact: Callable[..., Path], contents: Callable[[str], Any]
) -> None:
    """A table of AUROC by candidate and group; without evidence the sentence alone."""
    weak = {"energy": {"primary": {"why": "there are no outliers"}}}
    aurocs = {"energy": {"near": 0.5, "far": 0.75}, "msp": {"near": 0.25, "far": 1.0}}
    strong = {"energy": {"primary": {"why": "it is good", "auroc": aurocs}}}

    without, shown = (
        page_of(change_artefact(exported, provenance={"choices": choices}))
        for choices in (weak, strong)
    )

    assert "there are no outliers" in without
    assert "AUROC of training images" not in without
    assert "it is good" in shown
    texts = {pointer: text for pointer, _, text in contents(shown).fields}
    for head, row in aurocs.items():
        for group, value in row.items():
            pointer = f"#/choices/energy/primary/auroc/{head}/{group}"
            assert f"{value:.1%}" == texts[pointer]


@pytest.mark.usefixtures("no_figures")
def test_what_speaks_against_fewer_bits_is_said(
    hostile_export: Path, change_artefact: Callable[..., Path], check_page: Callable[[str], None]
) -> None:
    """Slower, other labels and another ranking are warnings; a comparison of nothing is none."""
    told = json.loads(json.dumps(Scorer(hostile_export).metadata.comparison))
    bad = {**told, "speed": 0.5, "label_flips": 30}
    bad["heads"] = [{**told["heads"][0], "rank_correlation": 0.25}]

    pages = [
        page_of(change_artefact(hostile_export, comparison=comparison))
        for comparison in (told, bad, {**told, "images": 0}, {**told, "speed": 0})
    ]

    for page in pages:
        check_page(page)
    warnings = ("it takes 2.00 x the time of fp32", "(30 of 512)", "ranks images otherwise")
    assert [False, True, False, False] == [all(w in page for w in warnings) for page in pages]
    assert [True, True, False, False] == ["int8 against fp32" in page for page in pages]


def test_other_files_are_refused(tmp_path: Path, foreign_network: Callable[..., Any]) -> None:
    """What is no artefact of ours has no page."""
    onnx.save(foreign_network(), tmp_path / "x.onnx")

    with pytest.raises(ArtifactError, match="not an edge-ood artefact"):
        page_of(tmp_path / "x.onnx")


def test_figures_show_the_numbers(described: Described) -> None:
    """Dots are errors, ticks limits, bars sizes; the ring is at the chosen epsilon."""
    worst = described.document["worst"]
    choice = described.document["choices"]["odin"]["epsilon"]
    choice = {**choice, "epsilon": 0.002, "criterion": "fgsm"}

    ticks, dots = parity_figure(worst).axes[0].lines
    curve, ring = epsilon_figure(choice).axes[0].lines
    bars = shares_figure({"a": 2.0, "b": 5.0}, "share").axes[0].patches

    np.testing.assert_allclose([case["error"] for case in worst], np.maximum(dots.get_xdata(), 0))
    assert [case["allowed"] for case in worst] == list(ticks.get_xdata())
    assert [choice["curve"][f"{x:g}"] for x in curve.get_xdata()] == list(curve.get_ydata())
    assert [0.002] == list(ring.get_xdata())
    assert [2.0, 5.0] == [bar.get_width() for bar in bars]


def test_flagged_images_lie_beyond_the_line(described: Described, per_class: Path) -> None:
    """The line is the threshold, and the bars hold all images; each class has a tick of its own."""
    (scores,) = calibration_scores(described, "energy")
    by_class = calibration_scores(describe(per_class), "energy")

    axes = score_figure(scores, "energy").axes[0]
    ticks = class_scores_figure(by_class, "energy").axes[0].lines[-1]

    assert scores.threshold == axes.lines[0].get_xdata()[0]
    assert 100 == pytest.approx(axes.patches[0].get_data().values.sum())
    assert [scores.threshold for scores in by_class] == list(ticks.get_xdata())
