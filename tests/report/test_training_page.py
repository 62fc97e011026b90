"""The page of a training run: every number is that of a file of the run directory."""

import csv
import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ood.errors import ArtifactError
from edge_ood.registry import Spec
from edge_ood.report import training_page as module
from edge_ood.report.training_figures import accuracy_figure, energy_figures, loss_figure
from edge_ood.report.training_page import training_page as page_of
from edge_ood.training.energies import Energies, read_energies
from edge_ood.training.run_directory import read_metrics


@pytest.fixture
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take nearly all the time of a page."""
    monkeypatch.setattr(module, "_figures", lambda *_: dict.fromkeys(FIGURES, ""))


FIGURES = ("loss", "rate", "accuracy", "before", "after")


def files_of(run: Path) -> dict[str, Any]:
    """What the files of a run say, and what can be counted in them."""
    config = json.loads((run / "config.json").read_text("utf-8"))
    splits = json.loads((run / "splits.json").read_text("utf-8"))
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        epochs = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    labels = [label for _, _, label in splits["validation"]["images"]]
    images = sum(row["images_per_s"] * row["seconds"] for row in epochs)
    seconds = sum(row["seconds"] for row in epochs)
    epochs = [{**row, "epoch": int(row["epoch"])} for row in epochs]
    return {
        "config": config,
        "epochs": epochs,
        "energies": json.loads((run / "energies.json").read_text("utf-8")),
        "splits": {
            name: {
                "images": len(split["images"]),
                "by_class": [
                    [label for _, _, label in split["images"]].count(index)
                    for index, _ in enumerate(config["classes"])
                ],
            }
            for name, split in splits.items()
            if name not in ("format", "broken")
        },
        "totals": {
            "epochs": len(epochs),
            "kept_epoch": len(epochs),
            "classes": len(config["classes"]),
            "broken": len(splits["broken"]),
            "seconds": seconds,
            "images_per_s": images / seconds,
            "chance_level": max(map(labels.count, labels)) / len(labels) if labels else 0,
        },
    }


def test_every_field_is_that_of_a_file(
    made_run: Path,
    training_page: str,
    contents: Callable[[str], Any],
    wrong_fields: Callable[[str, Any], list[tuple[str, str]]],
) -> None:
    """Numbers are written as the files have them; names of classes in one printable line."""
    wrong = wrong_fields(training_page, files_of(made_run))

    assert [] == [field for field in wrong if not field[0].startswith("#/config/classes/")]
    parts = [pointer.split("/")[1] for pointer, _, _ in contents(training_page).fields]
    assert {"config", "epochs", "energies", "splits", "totals"} == set(parts)
    assert len(parts) > 60


def test_every_number_of_the_files_is_there(
    made_run: Path, training_page: str, contents: Callable[[str], Any]
) -> None:
    """All that the rows of the epochs say, the mean energies, and the images of every split."""
    files = files_of(made_run)
    shown = {pointer for pointer, _, _ in contents(training_page).fields}

    rows = {f"#/epochs/{i}/{name}" for i, row in enumerate(files["epochs"]) for name in row}
    means = {f"#/energies/{m}/{s}/mean" for m in ("before", "after") for s in files["energies"][m]}
    counts = {f"#/splits/{s}/images" for s in files["splits"] if files["splits"][s]["images"]}
    assert rows | means | counts <= shown
    assert 4 == len(means)


@pytest.mark.usefixtures("_no_figures")
def test_departures_from_the_recipe_are_named(make_run: Callable[..., Path]) -> None:
    """Settings that differ stand out; parameters that a recipe writes otherwise do not differ."""
    objective = Spec("energy-bounded", {"weight": 0.1, "m_in": -23.0, "m_out": -5.0})

    page = page_of(make_run(objective=objective, epochs=10, learning_rate=0.001, momentum=0.8))

    assert "This run differs from it in batch size, momentum." in " ".join(page.split())
    marked = re.findall(r'<tr class="marked">\s*<th scope="row">(.*?)</th>', page, re.DOTALL)
    assert ["batch size", "momentum"] == [re.sub("<.*?>", "", row).strip() for row in marked]
    assert "outliers are shuffled" in page


@pytest.mark.usefixtures("_no_figures")
@pytest.mark.parametrize(
    ("given", "measured"),
    [
        ({}, ["m_in", "m_out"]),
        ({"m_in": -15.0}, ["m_out"]),
        ({"m_in": -15.0, "m_out": -4.0}, []),
        ({"margins": "cifar10"}, []),
    ],
)
def test_margins_that_were_measured_are_named(
    make_run: Callable[..., Path], given: dict[str, Any], measured: list[str]
) -> None:
    """Every run records both; a margin that was given was not measured."""
    objective = Spec("energy-bounded", {"m_in": None, "m_out": None, **given})

    page = page_of(make_run(objective=objective, measured={"m_in": -15.0, "m_out": -4.0}))

    assert measured == re.findall(r"(m_in|m_out) was measured", page)
    assert "below m_in (-15)" in page


@pytest.mark.usefixtures("_no_figures")
@pytest.mark.parametrize("name", ["cross-entropy", "of-another-version"])
def test_only_what_an_objective_declares_is_a_bound(
    make_run: Callable[..., Path], name: str
) -> None:
    """Parameters that bear the name of another objective's are nothing of the kind."""
    bounds = {"m_in": -15.0, "m_out": -4.0}

    page = page_of(make_run(objective=Spec(name, bounds), measured=bounds))

    assert "bounds of the objective" not in page
    assert "bounds of the objective" in page_of(make_run(measured=bounds))


@pytest.mark.usefixtures("_no_figures")
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"recipe": ""}, "No published recipe"),
        ({"recipe": "gone"}, "which this version of edge-ood does not know"),
        ({"validation": 0}, "no image was held out"),
        ({"objective": Spec("cross-entropy", {}), "outliers": 0}, "The mean energy of"),
        ({"objective": Spec("of-another-version", {"m_in": -1.0})}, "The mean energy of"),
    ],
)
def test_what_a_run_lacks_is_said(
    make_run: Callable[..., Path],
    check_page: Callable[[str], None],
    settings: dict[str, Any],
    text: str,
) -> None:
    """Runs without recipe, validation images or outliers have a sound page that says so."""
    page = page_of(make_run(**settings))

    check_page(page)
    assert text in " ".join(page.split())


@pytest.mark.parametrize("heads", [1, 2])
def test_a_run_of_before_has_a_page(made_run: Path, tmp_path: Path, heads: int) -> None:
    """Without energies, and without accuracies of the second head, what is there is shown."""
    run = Path(shutil.copytree(made_run, tmp_path / "run"))
    (run / "energies.json").unlink()
    if heads == 1:
        rows = (run / "metrics.csv").read_text().splitlines()
        (run / "metrics.csv").write_text("\n".join(row.rsplit(",", 2)[0] for row in rows))

    page = page_of(run)

    assert "did not look at energies" in page
    assert 'aria-labelledby="figure-loss-title"' in page
    assert "figure-energies" not in page


def test_a_run_that_learned_nothing_is_called_so(
    make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The share of the most frequent class is what accuracy is held against."""
    monkeypatch.setattr(module, "_figures", lambda *_: dict.fromkeys(FIGURES, ""))
    run = make_run()
    better = re.search("has learned no more than that", page_of(run))
    rows = (run / "metrics.csv").read_text().splitlines()
    last = rows[-1].split(",")
    (run / "metrics.csv").write_text(
        "\n".join([*rows[:-1], ",".join([*last[:3], "0.1", *last[4:]])])
    )

    worse = re.search("has learned no more than that", page_of(run))

    assert (None, True) == (better, bool(worse))


@pytest.mark.parametrize(
    ("options", "best", "said"),
    [
        ({}, False, "those after epoch 3, the last."),
        ({"keep": "best"}, True, "those after epoch {}, the best by validation accuracy; of eq"),
        ({"keep": "best", "validation": 0}, False, "those after epoch 3, the last."),
        ({"average": "ema"}, False, "the last. They are averages over the steps, and so are"),
    ],
)
def test_what_was_kept_is_shown(
    make_run: Callable[..., Path],
    check_page: Callable[[str], None],
    options: dict[str, Any],
    best: bool,
    said: str,
) -> None:
    """Its epoch and accuracy, a line in both figures, and its row of the table."""
    run = make_run(**options)
    accuracies = [epoch.validation_accuracy for epoch in read_metrics(run)]
    kept = max(range(3), key=lambda i: (accuracies[i], i)) + 1 if best else 3

    page = page_of(run)

    text = " ".join(re.sub("<[^>]*>", "", page).split())
    rows = re.findall(r'<tr class="marked">\s*<th scope="row">(.*?)</th>', page, re.DOTALL)
    check_page(page)
    assert said.format(kept) in text
    assert best == (f"epoch {kept} was the best, and was kept" in text)
    assert best == (str(kept) in [re.sub("<.*?>", "", row).strip() for row in rows])
    if options.get("validation", 1) != 0:
        assert f"and classifies {100 * accuracies[kept - 1]:.1f}% of" in text
    assert (2 if best else 0) == len(re.findall(">kept<", page))


def test_a_run_that_ended_early_says_why(make_run: Callable[..., Path]) -> None:
    """Rows for fewer epochs than were asked for, and the patience."""
    run = make_run(patience=2)
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["settings"]["epochs"] = 17
    (run / "config.json").write_text(json.dumps(config), "utf-8")

    text = " ".join(re.sub("<[^>]*>", "", page_of(run)).split())

    assert "Training ended before its 17 epochs, as 2 of them in a row had no higher" in text


def test_a_run_that_is_not_finished_is_called_so(made_run: Path, tmp_path: Path) -> None:
    """Weights are missing, so it cannot be exported."""
    run = Path(shutil.copytree(made_run, tmp_path / "run"))
    (run / "model.safetensors").unlink()

    assert "it cannot be exported yet" in page_of(run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.csv", "epoch,learning_rate,training_loss", "no epoch of .* is finished"),
        ("energies.json", "{}", "energies.json' is damaged"),
    ],
)
def test_damage_is_an_error(
    made_run: Path, tmp_path: Path, name: str, content: str, message: str
) -> None:
    """No page is made of half a run."""
    run = Path(shutil.copytree(made_run, tmp_path / "run"))
    (run / name).write_text(content)

    with pytest.raises(ArtifactError, match=message):
        page_of(run)


def test_energies_stand_on_one_axis_with_the_margins(made_run: Path) -> None:
    """Both moments have the same bins; the tallest bin of a set is where most of its images are."""
    energies = read_energies(made_run)
    assert energies is not None

    figures = energy_figures(energies, {"m_in": -23.0, "m_out": -4.75})

    before, after = (figures[moment].axes[0] for moment in ("before", "after"))
    assert before.get_xlim() == after.get_xlim()
    for axes, samples in ((before, energies.before), (after, energies.after)):
        assert {"m_in": -23.0, "m_out": -4.75} == {
            t.get_text(): t.get_position()[0] for t in axes.texts
        }
        outlines = [patch.get_data() for patch in axes.patches[1::2]]
        for (heights, edges, _), sample in zip(outlines, samples.values(), strict=True):
            middle = edges[heights.argmax() : heights.argmax() + 2].mean()
            assert 1 == heights.max()
            assert abs(middle - sample.mean) < 2


def test_curves_are_the_rows(made_run: Path) -> None:
    """Lines go through every epoch; two heads have a line each, and one has none of its own."""
    epochs = read_metrics(made_run)
    one_head = [replace(epoch, second_head_accuracy=math.nan) for epoch in epochs]

    (loss,) = loss_figure(epochs, kept=2).axes[0].lines
    three = accuracy_figure(epochs).axes[0].lines
    one = accuracy_figure(one_head).axes[0].lines

    assert [e.training_loss for e in epochs] == list(loss.get_ydata())
    assert [[1, 2, 3]] * 3 == [list(line.get_xdata()) for line in three]
    seconds = [100 * e.second_head_accuracy for e in epochs]
    assert seconds == pytest.approx(list(three[2].get_ydata()))
    assert 1 == len(one)
    (mark,) = loss_figure(epochs, kept=2).axes[0].collections
    assert [2, 2] == [x for x, _ in mark.get_segments()[0]]
    assert not loss_figure(epochs).axes[0].collections


def test_equal_energies_have_a_figure(made_run: Path) -> None:
    """A network that says the same of every image, and one moment alone, can be drawn."""
    found = read_energies(made_run)
    assert found is not None
    sample = replace(found.after["outliers"], quantiles=(-2.0,) * 101)

    figures = energy_figures(Energies({}, {"outliers": sample}), {})

    (heights, edges, _) = figures["after"].axes[0].patches[1].get_data()
    assert ["after"] == list(figures)
    assert [1.0] == heights[heights > 0].tolist()
    assert edges[heights.argmax()] <= -2 <= edges[heights.argmax() + 1]
