"""The pieces of the CIFAR-10 benchmark, on a handful of images."""

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from edge_ood.cli.app import app
from edge_ood.recipes import RECIPES

FOLDER = Path(__file__).parents[2] / "benchmarks" / "cifar10"
SCRIPTS = ("rows", "prepare", "run", "table")
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
            side = 64 if name == "tinyimagenet_train" else 32
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

    script("prepare").prepare(data, packs, script("rows").Scale(20, 4, None, 6, 3, ""))

    names = {path.name for path in (data / "exposure").iterdir()}
    assert {f"{index:02d}.png" for index in range(0, 36, 3)} == names
    assert {(32, 32)} == {size(path) for path in (data / "exposure").iterdir()}


def test_held_out_images_come_from_training(
    script: Callable[[str], Any], packs: Path, tmp_path: Path
) -> None:
    """Calibration and validation take the same number of each class, and training the rest."""
    rows = script("rows")
    scale = rows.Scale(20, 4, 5, 6, 3, "")

    sets = script("prepare").prepare(tmp_path / "data", packs, scale)

    splits = ("train", "calibration", "validation")
    found = {s: {c: count(tmp_path / "data" / s / c) for c in ("cat", "dog")} for s in splits}
    assert {"cat": 6, "dog": 6} == found["train"]
    assert {"cat": 2, "dog": 2} == found["calibration"] == found["validation"]
    assert (6, 5) == (sets["test"]["images"], sets["exposure"]["images"])


def test_every_ood_set_is_there_and_shares_nothing_with_the_id_images(
    script: Callable[[str], Any], packs: Path, tmp_path: Path
) -> None:
    """An image that CIFAR-10 has, too, is left out of the set that holds it."""
    rows = script("rows")

    sets = script("prepare").prepare(tmp_path / "data", packs, rows.Scale(20, 4, 5, 6, 3, ""))

    counts = {name: sets[f"ood/{name}"]["images"] for name in rows.OOD_SETS}
    assert {name: 2 if name == "scenes" else 3 for name in rows.OOD_SETS} == counts
    assert counts == {name: count(tmp_path / "data" / "ood" / name) for name in rows.OOD_SETS}
    assert json.loads((tmp_path / "data" / "sets.json").read_text()) == sets


def test_preparing_again_gives_the_same_images(
    script: Callable[[str], Any], packs: Path, tmp_path: Path
) -> None:
    """The fingerprints in the results file name one set of pixels."""
    scale = script("rows").Scale(20, 4, 5, 6, 3, "")

    first = script("prepare").prepare(tmp_path / "data", packs, scale)

    assert first == script("prepare").prepare(tmp_path / "data", packs, scale)


def test_noise_has_the_moments_of_its_distribution(script: Callable[[str], Any]) -> None:
    """U(0, 1) has variance 1/12; clipped, N(1/2, 1) has three tenths of its values at each end."""
    images = {name: found / 255 for name, found in script("prepare").noise(40).items()}

    assert 0.5 == pytest.approx(images["uniform"].mean(), abs=0.01)
    assert 1 / 12 == pytest.approx(images["uniform"].var(), abs=0.002)
    assert 0.3085 == pytest.approx((images["gaussian"] == 0).mean(), abs=0.01)
    assert 0.3085 == pytest.approx((images["gaussian"] == 1).mean(), abs=0.01)


def test_a_row_s_stages_come_after_what_they_start_from(script: Callable[[str], Any]) -> None:
    """The plan of a fine-tuned row trains its start first."""
    rows = script("rows")

    assert ["cross-entropy", "oe-tuned"] == rows.planned_stages("oe-tuned")
    assert ["two-heads", "mcd-auxiliary"] == rows.planned_stages("mcd-auxiliary")
    assert ["oe-scratch"] == rows.planned_stages("oe-scratch")


def test_a_stage_starts_where_its_recipe_does(script: Callable[[str], Any]) -> None:
    """A fine-tuning recipe has a start, and no other has one."""
    for name, stage in script("rows").STAGES.items():
        assert bool(stage.start) == bool(RECIPES.get(stage.recipe).starts_from), name


@pytest.mark.parametrize("scale", ["full", "small"])
def test_planned_commands_parse(script: Callable[[str], Any], scale: str, tmp_path: Path) -> None:
    """Every command that a row runs is one that `edge-ood` takes."""
    rows = script("rows")
    folders = rows.Folders(tmp_path)
    artefact, document = tmp_path / "row.onnx", tmp_path / "row.json"
    planned = [rows.train_command(name, scale, 1, folders) for name in rows.STAGES]
    planned += [
        rows.export_command(folders.run("oe-tuned", 1), artefact, heads) for heads in (1, 2)
    ]
    planned += [rows.evaluate_command(artefact, folders.data, document)]

    for name, *arguments in planned:
        COMMANDS[name].make_context(name, list(arguments))


def evaluation(fpr95: float) -> dict[str, Any]:
    """What `edge-ood evaluate --json` writes, as far as a row needs it."""
    metrics = {
        "auroc": 0.9,
        "aupr_in": 0.8,
        "aupr_out": 0.7,
        "fpr95_id_positive": fpr95,
        "fpr95_ood_positive": 0.4,
        "detection_error": 0.123456,
    }
    sets = [*("cifar100", "textures", "characters", "scenes"), *("mnist", "fashion-mnist")]
    model = {
        "heads": ["energy", "msp"],
        "alpha": 0.05,
        "id": {
            "n": 500,
            "accuracy": 0.9475,
            "heads": {head: {"realised_tpr": 0.95} for head in ("energy", "msp")},
        },
        "ood": {
            name: {"n": 50, "metrics": dict.fromkeys(("energy", "msp"), metrics)}
            for name in [*sets, "gaussian", "uniform"]
        },
    }
    return {"models": [model]}


def a_row(
    run: Any, row: str, seed: int, fpr95: float, heads: dict[str, float] | None = None
) -> dict[str, Any]:
    """A line of the results file, perhaps of a network with two heads."""
    sets = {name: {"images": 100} for name in ("train", "exposure")}
    return {
        "row": row,
        "scale": "small",
        "seed": seed,
        "results": run.results(evaluation(fpr95)),
        "training": {row: {"seconds": 12.3, "last_epoch": heads or {}}},
        "images": sets,
        "hardware": {"processor": "Abacus", "cores": 2},
    }


def test_results_are_percentages(script: Callable[[str], Any]) -> None:
    """The table's numbers are those of the evaluation, times 100, to two decimals."""
    found = script("run").results(evaluation(0.25))

    assert 5.25 == found["id_error"]
    assert 95.0 == found["promised_tpr"]
    assert 500 == found["n"]["id"]
    textures = found["scores"]["msp"]["ood"]["textures"]
    assert (25.0, 12.35) == (textures["fpr95_id_positive"], textures["detection_error"])


def test_a_row_is_measured_once(script: Callable[[str], Any]) -> None:
    """Row, scale and seed together name a line of the results file."""
    run = script("run")
    lines = [json.dumps(a_row(run, "oe-tuned", 1, 0.2))]

    assert run.is_there(lines, "oe-tuned", "small", 1)
    assert not run.is_there(lines, "oe-tuned", "small", 2)
    assert not run.is_there(lines, "oe-tuned", "full", 1)
    assert not run.is_there(lines, "oe-scratch", "small", 1)


@pytest.fixture
def pretended(
    script: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[list[float]], tuple[Any, list[str]]]:
    """Measures `oe-scratch` with commands that do nothing but give FPR95 values one by one."""
    run, rows = script("run"), script("rows")
    weights = tmp_path / "weights"
    weights.touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sets.json").write_text("{}")
    settings = SimpleNamespace(heads=1)
    trained = SimpleNamespace(
        path=tmp_path,
        weights_path=weights,
        config=SimpleNamespace(settings=settings, environment={"device": "cpu"}),
    )
    monkeypatch.setattr(run, "read_run", lambda path: trained)
    monkeypatch.setattr(run, "training", lambda found: {})

    def measure(values: list[float]) -> tuple[Any, list[str]]:
        names = []

        def pretend(arguments: list[str], deadline: float) -> None:
            names.append(arguments[0])
            if arguments[0] == "evaluate":
                if not values:
                    raise run.OutOfTimeError
                document = Path(arguments[arguments.index("--json") + 1])
                document.parent.mkdir(exist_ok=True)
                document.write_text(json.dumps(evaluation(values.pop(0))))

        monkeypatch.setattr(run, "edge_ood", pretend)
        try:
            return run.measure_row("oe-scratch", "small", 0, rows.Folders(tmp_path), 0), names
        except run.OutOfTimeError:
            return None, names

    return measure


def test_a_row_counts_if_it_comes_out_again(
    pretended: Callable[[list[float]], tuple[Any, list[str]]],
) -> None:
    """Training once, exporting and evaluating twice, with the same numbers."""
    found, names = pretended([0.25, 0.25])

    assert ["train", *["export", "evaluate"] * 2] == names
    assert found["reproduced"]
    assert 25.0 == found["results"]["scores"]["msp"]["ood"]["mnist"]["fpr95_id_positive"]


def test_a_row_that_does_not_come_out_again_is_refused(
    pretended: Callable[[list[float]], tuple[Any, list[str]]],
) -> None:
    """Other numbers from the same weights stop the script, and name the row."""
    with pytest.raises(SystemExit, match="oe-scratch: exported again"):
        pretended([0.25, 0.2501])


def test_a_stopped_row_goes_on_where_it_was(
    pretended: Callable[[list[float]], tuple[Any, list[str]]],
) -> None:
    """What was evaluated before the time was up is not evaluated again."""
    nothing, _ = pretended([0.25])
    found, names = pretended([0.25])

    assert nothing is None
    assert ["train", "export", "evaluate"] == names
    assert found["reproduced"]


def test_a_command_is_stopped_when_the_time_is_up(script: Callable[[str], Any]) -> None:
    """The deadline ends even a command that would go on."""
    run = script("run")

    with pytest.raises(run.OutOfTimeError):
        run.edge_ood(["--help"], deadline=0.0)


def test_the_table_says_what_was_measured(script: Callable[[str], Any]) -> None:
    """Mean and standard deviation over the seeds, the paper's score in bold, the scale by name."""
    run, table = script("run"), script("table")
    results = [a_row(run, "cross-entropy", seed, rate) for seed, rate in ((0, 0.2), (1, 0.3))]

    made = table.tables(results)

    spread = np.std([20.0, 30.0], ddof=1)
    assert "Scaled down to run on a CPU" in made
    assert f"**25.00 ± {spread:.2f} / 90.00 ± 0.00**" in made
    assert 1 == made.count("**25.00")
    assert "2 cores of Abacus" in made
    assert "oe-scratch" not in made


def test_both_heads_are_reported(script: Callable[[str], Any]) -> None:
    """A row with two heads says how accurate each is."""
    heads = {"first_head_accuracy": 0.715, "second_head_accuracy": 0.92}
    results = [a_row(script("run"), "oe-scratch", 0, 0.2, heads)]

    made = script("table").tables(results)

    assert "Validation accuracy of the two heads of `oe-scratch`: 71.50 and 92.00." in made


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
    assert all(result["reproduced"] for result in results)


@pytest.mark.data
@pytest.mark.skipif(
    not (FOLDER.parents[1] / "../shared/data/packs.py").is_file(), reason="no image packs"
)
def test_the_real_table_of_classes_leaves_164_of_200(script: Callable[[str], Any]) -> None:
    """The packs beside the project have the columns that the filter reads."""
    table = FOLDER.parents[1] / "../shared/data/tinyimagenet_classes.csv"

    assert 164 == len(script("prepare").unrelated_classes(table))
