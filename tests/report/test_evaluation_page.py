"""The page of an evaluation: every number is the document's, and every number is there."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.report import evaluation_drawings
from edge_ood.report.evaluation_page import evaluation_page


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have their own tests, and take nearly all the time of a page."""
    monkeypatch.setattr("edge_ood.report.evaluation_page.svg", lambda *_, **__: "")
    for name in list(vars(evaluation_drawings)):
        if name.endswith("_figure"):
            monkeypatch.setattr(evaluation_drawings, name, lambda *_, **__: None)


@pytest.fixture(scope="module")
def evaluation(make_evaluation: Callable[..., Evaluation]) -> Evaluation:
    """Two artefacts with two heads."""
    return make_evaluation(models=("small", "large"))


@pytest.fixture
def html(evaluation: Evaluation) -> str:
    """Its page."""
    return evaluation_page(evaluation)


@pytest.fixture
def page(contents: Callable[[str], Any], html: str) -> Any:
    """The page taken apart."""
    return contents(html)


def test_every_field_agrees_with_the_document(
    evaluation: Evaluation,
    html: str,
    page: Any,
    wrong_fields: Callable[[str, Any], list[tuple[str, str]]],
) -> None:
    """What stands in an element is the value of the JSON document that the element names."""
    document = json.loads(json.dumps(evaluation.to_json()))

    assert [] == wrong_fields(html, document)
    assert len(page.fields) > 500


def test_pointers_hold_any_name(
    make_evaluation: Callable[..., Evaluation],
    wrong_fields: Callable[[str, Any], list[tuple[str, str]]],
) -> None:
    """Names with the marks of pointers, addresses and markup lead to their own fields."""
    names = ("a/b", "a~1b", "a~b", "a.b", "%41", "A", "<i>", '"', "#", "ä b")
    evaluation = make_evaluation(sets=dict.fromkeys(names, "near"), classes=names)

    assert [] == wrong_fields(evaluation_page(evaluation), evaluation.to_json())


def test_no_number_stands_outside_a_field(page: Any) -> None:
    """No cell of a table and no key number has a digit that no field accounts for."""
    texts = [text.replace("FPR95", "") for text in page.numbers]

    assert texts
    assert [] == [text for text in texts if re.search(r"\d", text)]


def test_other_text_does_not_depend_on_numbers(
    contents: Callable[[str], Any], make_evaluation: Callable[..., Evaluation]
) -> None:
    """Pages of evaluations that differ in every number differ in fields and figures alone."""
    made = [make_evaluation(seed=seed) for seed in (1, 3)]
    pages = [contents(evaluation_page(evaluation)) for evaluation in made]
    sentences = [["".join(page.bare).split()] for page in pages]

    # The best head stands on top, which is the only thing that may depend on them.
    assert made[0].models[0].ranked_heads == made[1].models[0].ranked_heads
    assert sentences[0] == sentences[1]
    assert [f[:2] for f in pages[0].fields] == [f[:2] for f in pages[1].fields]
    assert [f for f in pages[0].fields if f[1] == "percent"] != [
        f for f in pages[1].fields if f[1] == "percent"
    ]


def test_tables_have_each_number_in_its_place(
    contents: Callable[[str], Any], evaluation: Evaluation, page: Any
) -> None:
    """A row is a head, a column is a metric, and the cell is that head's value of it."""
    rows = contents(evaluation_page(replace(evaluation, models=evaluation.models[:1]))).tables[
        "All heads on cats"
    ]
    fields = ("auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive")
    result = evaluation.models[0].ood["cats"]
    headings = ["head", "AUROC", "AUPR-In", "AUPR-Out", "FPR95 ID-positive", "FPR95 OOD-positive"]

    assert [*headings, "detection error", "flagged"] == rows[0]
    for head, row in zip(("energy", "msp"), rows[1:], strict=True):
        pair = result.metrics[head]
        rates = [getattr(pair, name) for name in (*fields, "detection_error")]
        assert row[0].split()[0] == head
        for rate, cell in zip([*rates, result.flagged[head]], row[1:], strict=True):
            assert cell.strip().startswith(f"{100 * rate:.1f}%")


def test_every_metric_is_on_the_page(evaluation: Evaluation, page: Any) -> None:
    """No metric of a set, a group of several or the ID images is left out, for any head."""
    shown = {pointer for pointer, _, _ in page.fields}
    document = evaluation.to_json()
    wanted = set()
    for m, artifact in enumerate(document["models"]):
        for place in ("ood", "groups"):
            for name, result in artifact[place].items():
                if len(result.get("sets", "several")) == 1:
                    continue  # its means are the metrics of its set
                for head, metrics in result["metrics"].items():
                    at = f"#/models/{m}/{place}/{name}"
                    wanted |= {f"{at}/metrics/{head}/{k}" for k in metrics if k[0] != "n"}
                    wanted |= {f"{at}/intervals/{head}/{k}" for k in result["intervals"][head]}
        for head, on_id in artifact["id"]["heads"].items():
            at = f"#/models/{m}/id/heads/{head}"
            wanted |= {f"{at}/realised_tpr", f"{at}/accepted_accuracy"}
            wanted |= {
                f"{at}/misclassification/{k}" for k in on_id["misclassification"] if k[0] != "n"
            }
        wanted |= {f"#/models/{m}/id/{k}" for k in ("n", "accuracy", "rms_calibration_error")}

    assert set() == wanted - shown


def test_the_best_of_a_column_is_marked(evaluation: Evaluation, html: str) -> None:
    """Bold is the larger AUROC and the smaller FPR95, and never the fraction flagged."""
    marked = set(re.findall(r'<strong class="best"><span data-key="([^"]*)"', html))
    pairs = evaluation.models[0].ood["cats"].metrics
    at = "#/models/0/ood/cats/metrics"
    for metric, pick in (("auroc", max), ("fpr95_id_positive", min), ("detection_error", min)):
        best = pick(pairs, key=lambda head: getattr(pairs[head], metric))
        assert f"{at}/{best}/{metric}" in marked
    assert 1 == sum(key.endswith("/auroc") and key.startswith(at) for key in marked)
    assert not [key for key in marked if "flagged" in key]


@pytest.mark.parametrize(
    ("aurocs", "best"),
    [
        ((0.91234, 0.91219, 0.5), {"energy", "msp"}),
        ((0.91234, 0.91121, 0.5), {"energy"}),
        ((0.91234, 0.91219, math.nan), set()),
        ((math.nan, 0.7, 0.5), {"msp"}),
    ],
)
def test_what_reads_alike_is_marked_alike(
    make_evaluation: Callable[..., Evaluation], aurocs: tuple[float, ...], best: set[str]
) -> None:
    """Equal as written is equal, a column of equals has no best, and NaN never is."""
    made = make_evaluation(heads=("energy", "msp", "odin"))
    artifact = made.models[0]
    pairs = dict(artifact.ood["cats"].metrics)
    for head, auroc in zip(pairs, aurocs, strict=True):
        pairs[head] = replace(pairs[head], auroc=auroc)
    ood = {**artifact.ood, "cats": replace(artifact.ood["cats"], metrics=pairs)}
    html = evaluation_page(replace(made, models=(replace(artifact, ood=ood),)))

    marked = re.findall(
        r'class="best"><span data-key="#/models/0/ood/cats/metrics/(\w+)/auroc"', html
    )
    assert best == set(marked)


def test_the_recommended_artefact_stands_at_the_top(
    make_evaluation: Callable[..., Evaluation], contents: Callable[[str], Any]
) -> None:
    """What ships is about it, whichever place it was given, and its part is open."""
    made = make_evaluation(models=("small", "large"))
    assert made.recommendation is not None
    best = replace(made.recommendation, model="large")
    html = evaluation_page(replace(made, recommendation=best))
    top = html[: html.index("<nav")]

    assert 'As it ships: <span data-key="#/models/1/name"' in top
    opened = re.findall(r"<details( open)?>\n<summary>(small|large)</summary>", html)
    assert [("", "small"), (" open", "large")] == opened
    assert "#/models/1/id/accuracy" in {pointer for pointer, _, _ in contents(top).fields}


def test_near_sets_come_before_far_ones(make_evaluation: Callable[..., Evaluation]) -> None:
    """Then the sets of no group, each group in the order given."""
    sets = {"d": "", "c": "far", "b": "near", "a": "near"}
    html = evaluation_page(make_evaluation(sets=sets))

    assert ["b", "a", "c", "d"] == re.findall(r"<h2 [^>]*>([a-d]) \(", html)


@pytest.mark.parametrize(
    ("thresholds", "shown"),
    [
        ((1.5, 1.5, 1.5), {"0": "1.5"}),
        ((2.5, 1.5, 3.5), {"1": "1.5", "2": "3.5"}),
        ((math.inf, 1.5, 2.5), {"1": "1.5", "2": "2.5"}),
        ((math.inf,) * 3, {}),
    ],
)
def test_a_caption_has_the_ends_of_the_thresholds(
    make_evaluation: Callable[..., Evaluation],
    contents: Callable[[str], Any],
    thresholds: tuple[float, ...],
    shown: dict[str, str],
) -> None:
    """One number where all classes have one threshold, else the smallest and the largest."""
    made = make_evaluation(heads=("energy",))
    artifact = made.models[0]
    head = replace(artifact.id.heads["energy"], thresholds=thresholds)
    on_id = replace(artifact.id, heads={"energy": head})
    html = evaluation_page(replace(made, models=(replace(artifact, id=on_id),)))

    start = "#/models/0/id/heads/energy/thresholds/"
    fields = {pointer: text for pointer, _, text in contents(html).fields}
    assert {start + k: text for k, text in shown.items()} == {
        pointer: text for pointer, text in fields.items() if pointer.startswith(start)
    }
    assert (len(shown) == 2) == ("flagged, by predicted class" in html)


def test_a_page_without_ood_and_labels(
    make_evaluation: Callable[..., Evaluation], check_page: Callable[[str], None]
) -> None:
    """One unlabelled folder gives a sound page that claims no accuracy and recommends nothing."""
    html = evaluation_page(make_evaluation(sets={}, is_labelled=False))

    check_page(html)
    assert "no head can be recommended" in html
    assert "/id/accuracy" not in html
    assert "/flagged_true" not in html


@pytest.mark.parametrize(("temperature", "is_said"), [(1.75, True), (1.0, False)])
def test_the_calibration_error_is_there_before_and_after(
    make_evaluation: Callable[..., Evaluation],
    contents: Callable[[str], Any],
    temperature: float,
    is_said: bool,
) -> None:
    """With the temperature, where the file has one."""
    made = make_evaluation()
    on_id = replace(made.models[0].id, calibration_error_before=0.1234)
    artifact = replace(made.models[0], temperature=temperature, id=on_id)
    html = evaluation_page(replace(made, models=(artifact,)))

    fields = contents(html).fields
    assert is_said == (("#/models/0/id/calibration_error_before", "percent", "12.3%") in fields)
    assert is_said == (("#/models/0/temperature", "number", "1.75") in fields)


def test_intervals_are_left_out_without_bootstrap(
    make_evaluation: Callable[..., Evaluation], check_page: Callable[[str], None]
) -> None:
    """Empty `intervals` leave no empty boxes, and the page says what is missing."""
    made = make_evaluation()
    bare = replace(made, models=tuple(without_intervals(made).models))
    html = evaluation_page(
        replace(bare, bootstrap=replace(made.bootstrap, replicates=0), recommendation=None)
    )

    check_page(html)
    assert 'class="interval"' not in html
    assert "--bootstrap was 0" in html


def without_intervals(value: Any) -> Any:
    """The same results with every `intervals` empty."""
    if isinstance(value, dict):
        return {key: without_intervals(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(without_intervals(item) for item in value)
    if not hasattr(value, "__dataclass_fields__"):
        return value
    fields = {name: without_intervals(item) for name, item in vars(value).items()}
    return replace(value, **{k: {} if k == "intervals" else v for k, v in fields.items()})


@pytest.mark.parametrize(
    ("kind", "n", "text"),
    [("synthetic", 5000, "All OOD images are synthetic"), ("files", 20, "Few images")],
)
def test_what_weakens_the_numbers_is_said_before_them(
    make_evaluation: Callable[..., Evaluation], kind: str, n: int, text: str
) -> None:
    """Made-up sets and small ones are a warning above the first table."""
    made = make_evaluation()
    sets = {name: replace(result, kind=kind, n=n) for name, result in made.models[0].ood.items()}
    html = evaluation_page(replace(made, models=(replace(made.models[0], ood=sets),)))

    assert text in html[: html.index("<table")]
    assert text not in evaluation_page(made)


def test_seen_images_are_said_before_the_numbers(
    contents: Callable[[str], Any],
    make_evaluation: Callable[..., Evaluation],
) -> None:
    """Images that the artefact was made from are counted, by set and role, above all tables."""
    made = make_evaluation()
    artifact = made.models[0]
    seen = replace(artifact, id=replace(artifact.id, seen={"training": 37}))
    html = evaluation_page(replace(made, models=(seen,), allowed_seen=True))
    top = html[: html.index("<table")]

    assert "not a fair test" in top
    assert "--allow-seen" in top
    assert ("#/models/0/id/seen/training", "count", "37") in contents(html).fields


def test_a_broken_guarantee_is_said_before_the_numbers(
    make_evaluation: Callable[..., Evaluation],
) -> None:
    """Accepting fewer ID images than promised, beyond chance, is a warning."""
    made = make_evaluation()
    artifact = made.models[0]

    def page_with(high: float, alpha: float) -> str:
        head = artifact.id.heads["energy"]
        interval = replace(head.intervals["realised_tpr"], high=high)
        on_id = replace(head, intervals={"realised_tpr": interval})
        heads = {**artifact.id.heads, "energy": on_id}
        changed = replace(artifact, alpha=alpha, id=replace(artifact.id, heads=heads))
        return evaluation_page(replace(made, models=(changed,)))

    warning = "accepts fewer of these ID images than promised"
    assert warning in page_with(high=0.94, alpha=0.05)
    assert warning not in page_with(high=0.96, alpha=0.05)
    assert warning not in page_with(high=0.10, alpha=math.nan)


@pytest.mark.parametrize(("flagged", "is_said"), [(0.49, True), (0.51, False)])
def test_accepted_ood_images_are_said_before_the_numbers(
    make_evaluation: Callable[..., Evaluation], flagged: float, is_said: bool
) -> None:
    """A group of which less than half is flagged is a warning, for the primary head alone."""
    made = make_evaluation()
    artifact = made.models[0]
    groups = {
        name: replace(
            group,
            metrics={
                "energy": replace(group.metrics["energy"], flagged=flagged),
                "msp": replace(group.metrics["msp"], flagged=0.1),
            },
        )
        for name, group in artifact.groups.items()
    }
    html = evaluation_page(replace(made, models=(replace(artifact, groups=groups),)))

    assert is_said == ("Most of these OOD images are accepted" in html)


def test_thumbnails_come_from_the_paths_of_the_document(
    contents: Callable[[str], Any], make_evaluation: Callable[..., Evaluation], tmp_path: Path
) -> None:
    """A readable example is a picture with its score and p-value; any other says so."""
    made = make_evaluation()
    artifact = made.models[0]
    path = tmp_path / "x.png"
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    head = artifact.id.heads["energy"]
    examples = (replace(head.suspicious[0], path=str(path)), replace(head.suspicious[1], path="#1"))
    heads = {**artifact.id.heads, "energy": replace(head, suspicious=examples)}
    html = evaluation_page(
        replace(made, models=(replace(artifact, id=replace(artifact.id, heads=heads)),))
    )

    assert 2 == html.count("<img")  # on the first screen, and in its place
    assert f'alt="{path}"' in html
    pointer = "#/models/0/id/heads/energy/suspicious/0"
    fields = {key: shown for key, _, shown in contents(html).fields}
    assert f"{examples[0].score:.4g}" == fields[f"{pointer}/score"]
    assert f"{examples[0].pvalue:.4f}" == fields[f"{pointer}/pvalue"]


def test_pictures_are_asked_for_once(make_evaluation: Callable[..., Evaluation]) -> None:
    """A file is one picture whoever scored it; a synthetic image is one for each artefact."""
    made = make_evaluation(models=("small", "large"))
    asked = []
    models = []
    for artifact in made.models:
        noise = artifact.ood["noise"]
        trusted = {
            head: tuple(replace(one, path=f"#{i}") for i, one in enumerate(examples))
            for head, examples in noise.trusted.items()
        }
        ood = {**artifact.ood, "noise": replace(noise, trusted=trusted)}
        models.append(replace(artifact, ood=ood))

    def picture(place: int, name: str, path: str) -> None:
        asked.append((place, name, path))

    evaluation_page(replace(made, models=tuple(models)), picture)

    files = [path for _, _, path in asked if not path.startswith("#")]
    assert sorted(["id/0.png", "id/1.png", "near/0.png", "near/1.png"]) == sorted(files)
    assert [(m, "noise", f"#{i}") for m in range(2) for i in range(2)] == sorted(
        one for one in asked if one[2].startswith("#")
    )


def test_heads_that_do_not_decide_are_folded(make_evaluation: Callable[..., Evaluation]) -> None:
    """Outside of what is folded stand the primary head and the recommended one, of three."""
    made = make_evaluation(heads=("energy", "gen", "msp"))
    assert made.recommendation is not None
    html = evaluation_page(made)
    unfolded = re.sub(r"<details.*?</details>", "", html, flags=re.DOTALL)

    def heads(page: str) -> set[str]:
        return set(re.findall(r'data-key="#/models/0/ood/cats/metrics/(\w+)/auroc"', page))

    assert {"energy", "gen", "msp"} == heads(html)
    assert {made.models[0].primary, made.recommendation.head} == heads(unfolded)
