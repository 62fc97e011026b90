"""The pieces of the benchmark of the papers' results, on a handful of images."""

import importlib
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.main import get_command

from edge_ood.cli.app import app
from edge_ood.recipes import RECIPES

FOLDER = Path(__file__).parents[2] / "benchmarks" / "papers"
SCRIPTS = ("image_sets", "rows", "prepare", "run", "ranking", "table")
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # a group

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not installed")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports a script by its short name, which is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield __import__
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """A script like the one beside the image packs, whose images are 36 of one colour a class."""
    code = """
        from PIL import Image

        CLASSES = {"tinyimagenet_train": ("n1", "n2", "n3"), "cifar10_train": ("cat", "dog")}
        BLUE = {"cifar10_train": 50, "cifar10_test": 51}

        def unpack(name, dest, limit=None):
            classes = CLASSES.get(name, ("a", "b"))
            side = 64 if name.startswith("tinyimagenet") else 32
            for index in range(36 if limit is None else limit):
                folder = dest / classes[index % len(classes)]
                folder.mkdir(parents=True, exist_ok=True)
                colour = (index, sum(map(ord, name)) % 200, BLUE.get(name, 99))
                if name == "scene15_32x32" and index == 0:
                    colour = (0, sum(map(ord, "cifar10_train")) % 200, 50)
                Image.new("RGB", (side, side), colour).save(folder / f"{index:02d}.png")
    """
    (tmp_path / "packs.py").write_text(textwrap.dedent(code))
    table = "wnid,words,cifar10_relation,cifar10_class\nn1,goldfish,none,\n"
    table += 'n2,"tailed frog, bell toad",same,frog\nn3,trolley,near,truck\n'
    (tmp_path / "tinyimagenet_classes.csv").write_text(table)
    return tmp_path / "packs.py"


def count(folder: Path) -> int:
    """Files below a folder."""
    return sum(path.is_file() for path in folder.rglob("*"))


def size(path: Path) -> tuple[int, int]:
    """Width and height of an image file."""
    with Image.open(path) as image:
        return image.size


def test_only_unrelated_classes_are_exposed(
    script: Callable[[str], Any], packs: Path, tmp_path: Path
) -> None:
    """A class that CIFAR-10 has, or that is near one, is no auxiliary outlier."""
    data = tmp_path / "data"

    script("prepare").prepare(data, packs, held_out=(4, 2), most=36)

    names = {path.name for path in (data / "exposure").iterdir()}
    assert {f"{index:02d}.png" for index in range(0, 36, 3)} == names
    assert {(32, 32)} == {size(path) for path in (data / "exposure").iterdir()}


def test_held_out_images_are_test_images(
    script: Callable[[str], Any], packs: Path, tmp_path: Path
) -> None:
    """Calibration and validation take as many of each class; all training images train."""
    sets = script("prepare").prepare(tmp_path / "data", packs, held_out=(8, 4), most=20)

    splits = ("train", "calibration", "validation", "test")
    found = {s: {c.name: count(c) for c in (tmp_path / "data" / s).iterdir()} for s in splits}
    assert {"cat": 10, "dog": 10} == found["train"]
    assert {"a": 4, "b": 4} == found["calibration"]
    assert {"a": 2, "b": 2} == found["validation"]
    assert 8 == sets["test"]["images"]


def test_every_ood_set_is_there_and_shares_nothing_with_the_id_images(
    script: Callable[[str], Any], packs: Path, tmp_path: Path
) -> None:
    """An image that CIFAR-10 has, too, is left out of the set that holds it."""
    images, data = script("image_sets").CIFAR10, tmp_path / "data"

    sets = script("prepare").prepare(data, packs, held_out=(2, 2), most=6)

    names = (*images.ood, *images.exposed)
    counts = {name: sets[f"ood/{name}"]["images"] for name in names}
    assert {name: 5 if name == "scenes" else 6 for name in names} == counts
    assert counts == {name: count(data / "ood" / name) for name in names}
    assert json.loads((data / "sets.json").read_text()) == sets


def test_tiny_imagenet_is_cropped_and_scaled(script: Callable[[str], Any], tmp_path: Path) -> None:
    """A crop holds pixels as they were, a scaled image all of them, as Pillow scales it."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (tmp_path / "n1").mkdir()
    Image.fromarray(pixels).save(tmp_path / "n1" / "a.png")

    script("prepare").write_tiny(tmp_path / "n1", tmp_path / "ood")

    with Image.open(tmp_path / "ood" / "tiny-crop" / "a.png") as image:
        crop = np.asarray(image)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (32, 32, 3)).squeeze(2)
    assert (windows == crop).all(axis=(2, 3, 4)).any()
    with Image.open(tmp_path / "ood" / "tiny-resize" / "a.png") as image:
        scaled = Image.fromarray(pixels).resize((32, 32), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(np.asarray(scaled), np.asarray(image))


def test_photographs_of_a_class_have_one_part(
    script: Callable[[str], Any], packs: Path, tmp_path: Path
) -> None:
    """Of a class with one image three parts have none, so its name is on a list."""
    code = """
        from PIL import Image

        def unpack(name, dest, limit=None):
            for index in range(8):
                (dest / f"n{index}").mkdir(parents=True)
                colour = (index, sum(map(ord, name)) % 200, 0)
                Image.new("RGB", (40, 30), colour).save(dest / f"n{index}" / "a.png")
    """
    packs.write_text(textwrap.dedent(code))
    data = tmp_path / "data"

    sets = script("prepare").prepare_photographs(data, packs, most=3)

    parts = {
        part: {c.name for c in (data / part).iterdir()} for part in ("train", "calibration", "test")
    }
    assert {
        "train": {"n0", "n4"},
        "calibration": {"n2", "n6"},
        "test": {"n1", "n3", "n5", "n7"},
    } == parts
    assert [f"n{index}" for index in range(8)] == (data / "classes.txt").read_text().split()
    images = script("image_sets").IMAGENET
    assert {*(f"ood/{name}" for name in images.ood), *images.held_out, "test"} == set(sets)
    assert (224, 224) == size(data / "ood" / "uniform" / "00000.png")


def test_preparing_again_gives_the_same_images(
    script: Callable[[str], Any], packs: Path, tmp_path: Path
) -> None:
    """The fingerprints in the results file name one set of pixels."""
    prepare = script("prepare").prepare

    first = prepare(tmp_path / "data", packs, held_out=(4, 2), most=12)

    assert first == prepare(tmp_path / "data", packs, held_out=(4, 2), most=12)


def test_noise_has_the_moments_of_its_distribution(script: Callable[[str], Any]) -> None:
    """U(0, 1) has variance 1/12; clipped, N(1/2, 1) has three tenths of its values at each end."""
    images = {name: found / 255 for name, found in script("prepare").noise(40).items()}

    assert 0.5 == pytest.approx(images["uniform"].mean(), abs=0.01)
    assert 1 / 12 == pytest.approx(images["uniform"].var(), abs=0.002)
    assert 0.3085 == pytest.approx((images["gaussian"] == 0).mean(), abs=0.01)
    assert 0.3085 == pytest.approx((images["gaussian"] == 1).mean(), abs=0.01)


def test_a_row_s_stages_come_after_what_they_start_from(script: Callable[[str], Any]) -> None:
    """The plan of a fine-tuned row trains its start first, if that is not somebody's network."""
    rows = script("rows")

    assert [] == rows.planned_stages("resnet20")
    assert ["resnet20-oe"] == rows.planned_stages("resnet20-oe")
    assert ["resnet20-two-heads", "resnet20-mcd"] == rows.planned_stages("resnet20-mcd")
    assert ["wrn", "wrn-oe"] == rows.planned_stages("wrn-oe")
    assert "resnet20" == rows.network_of("resnet20-mcd")


def test_a_stage_starts_where_its_recipe_does(script: Callable[[str], Any]) -> None:
    """A fine-tuning recipe has a start, and no other has one."""
    for name, stage in script("rows").STAGES.items():
        if stage.recipe:
            recipe = RECIPES.get(stage.recipe)
            assert bool(stage.start) == bool(recipe.starts_from or recipe.needs_weights), name


def test_rows_that_saw_outliers_are_not_shown_their_like(script: Callable[[str], Any]) -> None:
    """Tiny ImageNet is what rows are exposed to, so only published networks are tested on it."""
    rows = script("rows")

    for row in rows.ROWS:
        is_shown = set(rows.images_of(row).exposed) <= set(rows.sets_of(row))
        assert is_shown == (row in rows.PUBLISHED), row
        assert not (is_shown and rows.STAGES[row].outliers)
    assert rows.STAGES["fast-oe"].outliers
    assert not rows.STAGES["resnet20-oe-self"].outliers


def test_planned_commands_parse(script: Callable[[str], Any], tmp_path: Path) -> None:
    """Every command that a row runs is one that `edge-ood` takes."""
    rows = script("rows")
    artefact, document = tmp_path / "row.onnx", tmp_path / "row.json"
    planned = []
    for name, stage in rows.STAGES.items():
        folders = rows.Folders(tmp_path, rows.images_of(name))
        if stage.recipe:
            planned.append(rows.train_command(name, 1, folders))
        if name in rows.PUBLISHED:
            planned.append(rows.attach_command(name, tmp_path / "plain.onnx", artefact, folders))
        if name in rows.ROWS:
            planned.append(rows.export_command(name, 1, artefact, folders))
        planned += [
            rows.evaluate_command(artefact, shown, document, folders)
            for shown in (*rows.sets_of(name), "calibration")
        ]

    for name, *arguments in planned:
        COMMANDS[name].make_context(name, list(arguments))


def test_factories_of_published_networks_exist(
    script: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row names a function that makes a network for its classes."""
    rows = script("rows")
    monkeypatch.syspath_prepend(rows.NETWORKS)
    networks = importlib.import_module("networks")

    for network in rows.PUBLISHED.values():
        images = network.images
        if images.folder == "imagenet":
            pytest.importorskip("efficientnet_lite_pytorch")
        made = getattr(networks, network.factory)(images.num_classes).eval()
        side = images.size_px
        assert (1, images.num_classes) == made(torch.zeros(1, 3, side, side)).shape


def evaluation(fpr95: float, name: str = "mnist") -> dict[str, Any]:
    """What `edge-ood evaluate --json` writes, as far as a row needs it."""
    metrics = {
        "auroc": 0.9,
        "aupr_in": 0.8,
        "aupr_out": 0.7,
        "fpr95_id_positive": fpr95,
        "fpr95_ood_positive": 0.4,
        "detection_error": 0.123456,
    }
    ends = {key: {"low": value - 0.03, "high": value + 0.01} for key, value in metrics.items()}
    model = {
        "heads": ["energy", "msp", "odin"],
        "alpha": 0.05,
        "id": {
            "n": 500,
            "accuracy": 0.9475,
            "heads": {head: {"realised_tpr": 0.95} for head in ("energy", "msp", "odin")},
        },
        "ood": {
            name: {
                "n": 50,
                "metrics": dict.fromkeys(("energy", "msp", "odin"), metrics),
                "intervals": dict.fromkeys(("energy", "msp", "odin"), ends),
            }
        },
    }
    return {"models": [model]}


SETS = {"test": {"images": 80}, "calibration": {"images": 15}, "validation": {"images": 5}}


def a_row(
    run: Any, row: str, seed: int, fpr95: float, heads: dict[str, float] | None = None
) -> dict[str, Any]:
    """A line of the results file, perhaps of a network with two heads."""
    rows = sys.modules["rows"]
    held_out = rows.images_of(row).held_out
    names = (*rows.sets_of(row), *held_out)
    measured = {name: run.results(evaluation(fpr95)) for name in names}
    sets = {name: {"images": 100} for name in ("train", "exposure")} | SETS
    return {
        "row": row,
        "seed": seed,
        "results": run.joined(measured, sets, held_out),
        "reproduced": 0.0,
        "training": {row: {"seconds": 120, "last_epoch": heads or {}}},
        "images": sets,
        "hardware": {"processor": "Abacus", "cores": 2},
    }


def test_results_are_percentages(script: Callable[[str], Any]) -> None:
    """The table's numbers are those of the evaluation, times 100, to two decimals."""
    found = script("run").results(evaluation(0.25))

    assert 5.25 == found["id_error"]
    assert 95.0 == found["promised_tpr"]
    measures = found["scores"]["msp"]["measures"]
    assert (25.0, 12.35) == (measures["fpr95_id_positive"], measures["detection_error"])


def test_the_error_is_that_of_all_test_images(script: Callable[[str], Any]) -> None:
    """Held-out images count as many as they are."""
    run = script("run")
    held_out = ("calibration", "validation")
    measured = {name: run.results(evaluation(0.25)) for name in ("mnist", *held_out)}
    measured["mnist"]["id_error"], measured["calibration"]["id_error"] = 10.0, 20.0

    found = run.joined(measured, SETS, held_out)

    assert round(0.8 * 10 + 0.15 * 20 + 0.05 * 5.25, 2) == found["id_error"]
    assert {"mnist"} == set(found["scores"]["msp"]["ood"])


def test_a_row_is_measured_once(script: Callable[[str], Any]) -> None:
    """Row and seed together name a line of the results file."""
    run = script("run")
    lines = [json.dumps(a_row(run, "wrn-oe", 1, 0.2))]

    assert run.is_there(lines, "wrn-oe", 1)
    assert not run.is_there(lines, "wrn-oe", 2)
    assert not run.is_there(lines, "wrn", 1)


Measure = Callable[[dict[str, float], int], tuple[Any, list[str]]]


@pytest.fixture
def pretended(
    script: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Measure:
    """Measures `wrn-oe-scratch` with commands that do nothing but write FPR95 by artefact."""
    run, rows = script("run"), script("rows")
    weights = tmp_path / "weights"
    weights.touch()
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "sets.json").write_text(json.dumps(SETS))
    trained = SimpleNamespace(path=tmp_path, weights_path=weights)
    monkeypatch.setattr(run, "read_run", lambda path: trained)
    monkeypatch.setattr(run, "training", lambda found: {})

    def measure(rates: dict[str, float], commands: int) -> tuple[Any, list[str]]:
        names: list[str] = []

        def pretend(arguments: list[str], deadline: float) -> None:
            if len(names) == commands:
                raise run.OutOfTimeError
            names.append(arguments[0])
            if arguments[0] == "export":
                Path(arguments[arguments.index("-o") + 1]).touch()
            if arguments[0] == "evaluate":
                document = Path(arguments[arguments.index("--json") + 1])
                document.write_text(json.dumps(evaluation(rates[Path(arguments[1]).stem])))

        monkeypatch.setattr(run, "edge_ood", pretend)
        try:
            return run.measure_row("wrn-oe-scratch", 0, rows.Folders(tmp_path), 0), names
        except run.OutOfTimeError:
            return None, names

    return measure


def test_a_row_counts_if_it_comes_out_again(pretended: Measure) -> None:
    """Trained once, exported twice, and measured a second time on two sets."""
    found, names = pretended({"first": 0.25, "again": 0.25}, 99)

    rows = sys.modules["rows"]
    once = ["train", "export", *["evaluate"] * (len(rows.sets_of("wrn-oe-scratch")) + 2)]
    assert [*once, "export", *["evaluate"] * len(rows.CHECKED)] == names
    assert 0 == found["reproduced"]
    assert 25.0 == found["results"]["scores"]["msp"]["ood"]["mnist"]["fpr95_id_positive"]


def test_a_row_that_does_not_come_out_again_is_refused(pretended: Measure) -> None:
    """Other numbers from the same weights stop the script, and name the row."""
    with pytest.raises(SystemExit, match="wrn-oe-scratch: once more, numbers differ by"):
        pretended({"first": 0.25, "again": 0.2501}, 99)


def test_a_stopped_row_goes_on_where_it_was(pretended: Measure) -> None:
    """What was evaluated before the time was up is not evaluated again."""
    rates = {"first": 0.25, "again": 0.25}
    nothing, first = pretended(rates, 5)
    found, rest = pretended(rates, 99)

    assert nothing is None
    assert ["train", "export", *["evaluate"] * 3] == first
    assert ["train", "evaluate"] == rest[:2]
    assert 10 - 3 == rest.index("export") - 1
    assert 0 == found["reproduced"]


def test_a_command_is_stopped_when_the_time_is_up(script: Callable[[str], Any]) -> None:
    """The deadline ends even a command that would go on."""
    run = script("run")

    with pytest.raises(run.OutOfTimeError):
        run.edge_ood(["--help"], deadline=0.0)


def test_the_table_says_what_was_measured(script: Callable[[str], Any]) -> None:
    """Mean and standard deviation over the seeds, the paper's score in bold, the group by name."""
    run, table = script("run"), script("table")
    results = [a_row(run, "wrn", seed, rate) for seed, rate in ((0, 0.2), (1, 0.3))]

    made = table.tables(results)

    spread = np.std([20.0, 30.0], ddof=1)
    assert "WRN-40-2 by the papers' recipes" in made
    assert f"**25.00 ± {spread:.2f} / 90.00 ± 0.00**" in made
    assert 1 == made.count("**25.00")
    assert "2 cores of Abacus" in made
    assert "wrn-oe-scratch" not in made


def a_published_row(run: Any) -> dict[str, Any]:
    """Of DenseNet; `msp` is best, `odin` worst, as on no other set."""
    row = a_row(run, "densenet-bc-100-12", 0, 0.2)
    for score, auroc in (("msp", 95.0), ("odin", 70.0)):
        of_score = row["results"]["scores"][score]["ood"]
        for name in of_score:
            of_score[name] = {**of_score[name], "auroc": auroc}
    return row


def test_a_published_network_s_table_has_every_score_and_set(script: Callable[[str], Any]) -> None:
    """The best mean of near and far first; its own error beside the published one."""
    run, table = script("run"), script("table")

    made = table.tables([a_published_row(run)])

    assert "| densenet-bc-100-12 | 5.25 | 4.81 | 0.00 |" in made
    assert made.index("| `msp` | 95.0 | 95.0<br>20 / 40 |") < made.index(
        "| `energy` | 90.0 | 90.0<br>"
    )
    assert "tiny-resize" in made
    assert f"| at most ± |  |{10 * ' 2.0<br>2 / 2 |'}" in made
    assert "| densenet-bc-100-12 | uniform | 23.5 -> 0.0 | 20.0 -> 20.0 |" in made


def test_ranks_stand_beside_the_leaderboard_s(script: Callable[[str], Any], tmp_path: Path) -> None:
    """There `msp` is the best near of three and the second far, and `odin` last, as here."""
    run, ranking = script("run"), script("ranking")
    found = ranking.ranked([a_published_row(run)])

    assert {"near": 1.0, "far": 0.5} == pytest.approx(ranking.correlations(found))
    first, *_, last = ranking.ranking_table(found)
    assert ["`msp`", "95.0", "1", "88.0", "1", "95.0", "1", "90.7", "2"] == first
    assert ["`odin`", "70.0", "3", "82.9", "3", "70.0", "3", "88.0", "3"] == last
    ranking.draw(found, tmp_path / "ranking.svg")
    assert "odin" in (tmp_path / "ranking.svg").read_text()


def test_both_heads_are_reported(script: Callable[[str], Any]) -> None:
    """A row with two heads says how accurate each is."""
    heads = {"first_head_accuracy": 0.715, "second_head_accuracy": 0.92}
    results = [a_row(script("run"), "wrn-oe-scratch", 0, 0.2, heads)]

    made = script("table").tables(results)

    assert "Validation accuracy of the two heads of `wrn-oe-scratch`: 71.50 and 92.00." in made


def test_a_page_keeps_what_stands_around_its_tables(script: Callable[[str], Any]) -> None:
    """Only the marked section is replaced, and replacing it again changes nothing."""
    table = script("table")
    page = f"above\n{table.BEGIN}\nold\n{table.END}\nbelow\n"

    replaced = table.replace_tables(page, "new")

    assert f"above\n{table.BEGIN}\n\nnew\n\n{table.END}\nbelow\n" == replaced
    assert replaced == table.replace_tables(replaced, "new")


@pytest.mark.source
def test_the_committed_tables_are_made_from_the_committed_results(
    script: Callable[[str], Any],
) -> None:
    """No number was typed into the page by hand, and every row was reproduced."""
    table = script("table")
    page = (FOLDER / "README.md").read_text("utf-8")
    results = table.read_results(FOLDER / "results.jsonl")

    assert page == table.replace_tables(page, table.tables(results))
    assert all(result["reproduced"] <= 0.1 for result in results)


@pytest.mark.data
@pytest.mark.skipif(
    not (FOLDER.parents[1] / "../shared/data/packs.py").is_file(), reason="no image packs"
)
def test_the_real_table_of_classes_leaves_164_of_200(script: Callable[[str], Any]) -> None:
    """The packs beside the project have the columns that the filter reads."""
    table = FOLDER.parents[1] / "../shared/data/tinyimagenet_classes.csv"

    assert 164 == len(script("prepare").unrelated_classes(table))
