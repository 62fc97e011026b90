"""Pages that commands leave: beside the artefact, in the run directory, and never in the way."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app


def run(*arguments: object) -> Result:
    """A finished command."""
    return CliRunner().invoke(app, [*map(str, arguments)])


def train(images: Path, output: Path, *options: str) -> Result:
    """Train for one epoch on the tiny images."""
    splits = (f"--calibration={images / 'calibration'}", f"--validation={images / 'validation'}")
    model = ("--model=wrn-10-1:dropout=0", "--image-size=8", "--epochs=1", "--batch-size=14")
    return run("train", images / "train", "-o", output, *splits, *model, "--device=cpu", *options)


@pytest.fixture
def attach(
    colours: Path, foreign_network: Callable[..., onnx.ModelProto], tmp_path: Path
) -> Callable[..., Result]:
    """Attaches `x.onnx` in a folder of its own."""
    onnx.save(foreign_network(), tmp_path / "network.onnx")
    folders = (f"--id={colours / 'train'}", f"--calibration={colours / 'calibration'}")
    output = tmp_path / "made" / "x.onnx"

    def attach(*options: str) -> Result:
        rest = ("--pixels=unit", "--scores=energy,msp", "-o", output)
        return run("attach", tmp_path / "network.onnx", *folders, *rest, *options)

    return attach


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_an_artefact_has_a_page(
    attach: Callable[..., Result], tmp_path: Path, check_page: Callable[[str], None]
) -> None:
    """It is announced, sound, and replaced with the artefact only."""
    made = attach()
    again = attach()
    page = tmp_path / "made" / "x.report.html"
    (tmp_path / "made" / "x.onnx").unlink()
    (tmp_path / "made" / "x.parity.json").unlink()
    alone = attach()
    forced = attach("--force")

    assert (0, 1, 1, 0) == tuple(r.exit_code for r in (made, again, alone, forced))
    check_page(page.read_text("utf-8"))
    assert f"{page}: " in made.stdout
    assert "x.report.html' exists" in alone.stderr
    assert ["x.onnx", "x.parity.json", "x.report.html"] == sorted(
        file.name for file in page.parent.iterdir()
    )


@pytest.mark.usefixtures("no_matplotlib")
def test_without_the_extra_there_is_no_page(attach: Callable[..., Result], tmp_path: Path) -> None:
    """The artefact is made all the same, a note says how to get one, and an old page is gone."""
    page = tmp_path / "made" / "x.report.html"
    page.parent.mkdir()
    page.write_text("of before")

    result = attach("--force")

    assert 0 == result.exit_code, result.stderr
    assert 1 == result.stderr.count("note: no page")
    assert "pip install 'edge-ood[report]'" in result.stderr
    assert "report.html" not in result.stdout
    assert (tmp_path / "made" / "x.onnx").is_file()
    assert not page.exists()


def test_a_page_follows_its_artefact(colour_artifact: Path, colours: Path, tmp_path: Path) -> None:
    """Calibration renews a page that is there, and leaves none where there was none."""
    artefact = Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))
    page = tmp_path / "x.report.html"

    first = run("calibrate", artefact, colours / "calibration", "--provider=cpu")
    assert not page.exists()
    page.write_text("of before")
    second = run("calibrate", artefact, colours / "calibration", "--alpha=0.11", "--provider=cpu")

    assert (0, 0) == (first.exit_code, second.exit_code), second.stderr
    assert "11.0%" in page.read_text("utf-8")


def test_a_run_has_a_page(
    tiny_images: Path, tmp_path: Path, check_page: Callable[[str], None]
) -> None:
    """It is announced and sound, and made anew where a run is resumed that is finished."""
    made = train(tiny_images, tmp_path / "run")
    page = tmp_path / "run" / "report.html"
    page.write_text("of before")
    resumed = train(tiny_images, tmp_path / "run", "--resume")

    assert (0, 0) == (made.exit_code, resumed.exit_code)
    check_page(page.read_text("utf-8"))
    assert f"{page}: " in made.stdout


def test_a_run_that_learned_nothing_has_a_page(tiny_images: Path, tmp_path: Path) -> None:
    """The command fails, and the page helps to see why."""
    result = train(tiny_images, tmp_path / "run", "--lr=1e-30", "--final-lr=0")

    assert 1 == result.exit_code
    assert "no better than chance" in result.stderr
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "has learned no more than that" in page


def test_the_export_of_a_run_that_learned_nothing_says_so(
    tiny_images: Path, tmp_path: Path
) -> None:
    """The sentence that ended training, as a note and on the page; a run that learned has none."""
    train(tiny_images, tmp_path / "run", "--lr=1e-30", "--final-lr=0")
    metrics = tmp_path / "run" / "metrics.csv"
    options = ("--scores=energy", "--provider=cpu", "--force")

    bad = run("export", tmp_path / "run", "-o", tmp_path / "x.onnx", *options)
    page = (tmp_path / "x.report.html").read_text("utf-8")
    header, row = metrics.read_text().splitlines()
    values = dict(zip(header.split(","), row.split(","), strict=True))
    values["validation_accuracy"] = "0.9"
    metrics.write_text(f"{header}\n{','.join(values.values())}\n")
    good = run("export", tmp_path / "run", "-o", tmp_path / "x.onnx", *options)

    said = "is no better than chance, the share of the most frequent class (60.0%)"
    assert (0, 0) == (bad.exit_code, good.exit_code), bad.stderr + good.stderr
    assert said in " ".join(bad.stderr.split())
    assert said in page
    assert "no better than chance" not in good.stderr


@pytest.mark.usefixtures("no_matplotlib")
def test_training_needs_no_matplotlib(tiny_images: Path, tmp_path: Path) -> None:
    """The run is finished, and a note says what is missing."""
    result = train(tiny_images, tmp_path / "run")

    assert 0 == result.exit_code, result.stderr
    assert "note: no page" in result.stderr
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "report.html").exists()
