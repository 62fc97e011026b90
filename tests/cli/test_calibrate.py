"""`edge-ood calibrate`: in place, elsewhere, and back."""

import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from edge_ood.artifact.device import Device, this_device
from edge_ood.artifact.metadata import store_metadata
from edge_ood.calibration.guarantee import Guarantee, Sample
from edge_ood.calibration.guarantee_sentences import guarantee_sentence
from edge_ood.cli.app import app
from edge_ood.images.folders import find_images
from edge_ood.runtime.scorer import Scorer


@pytest.fixture
def artefact(tmp_path: Path, colour_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the artefact in the working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(colour_artifact, "x.onnx"))


def images(colours: Path, count: int) -> Path:
    """A folder with some of the images that took no part in training."""
    folder = Path(f"{count} images")
    folder.mkdir()
    for index, path in enumerate(find_images(colours / "calibration")[:count]):
        shutil.copy(path, folder / f"{index}.png")
    return folder


def run(*arguments: object) -> Result:
    """Run `edge-ood calibrate` in this process."""
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_the_file_is_calibrated_in_place(artefact: Path, colours: Path) -> None:
    """Thresholds before and now, how many images, and what that promises."""
    before = Scorer(artefact).metadata.calibration

    result = run(artefact, images(colours, 40), "--alpha", 0.1)

    after = Scorer(artefact).metadata.calibration
    assert 0 == result.exit_code
    assert (40, 0.1) == (after.n, after.alpha)
    for head in before.thresholds:
        (line,) = [line for line in result.stdout.splitlines() if line.startswith(head)]
        expected = [head, f"{before.thresholds[head]:.6g}", f"{after.thresholds[head]:.6g}"]
        assert expected == line.split()
    assert "calibrated on 40 images, of which 9 are needed at least\n" in result.stdout
    assert f"\n{guarantee_sentence(Guarantee(0.1), Sample(40), ())}\n" in result.stdout
    assert result.stdout.endswith(f"\nrecorded on {this_device('cpu')}\n")


def test_a_rate_is_held_with_confidence(artefact: Path, colours: Path) -> None:
    """It says so, later calibrations go on to hold it, and 0 goes back to the average."""
    folder = images(colours, 60)

    first = run(artefact, folder, "--confidence", 0.95)
    second = run(artefact, folder)
    held = Scorer(artefact).metadata.calibration
    third = run(artefact, folder, "--confidence", 0)

    assert [0, 0, 0] == [first.exit_code, second.exit_code, third.exit_code]
    assert "for 95 % of calibration sets of 60 images" in first.stdout
    assert first.stdout.splitlines()[-2] == second.stdout.splitlines()[-2]
    assert Guarantee(0.05, 0.95) == held.guarantee
    assert Guarantee(0.05) == Scorer(artefact).metadata.calibration.guarantee


def test_classes_and_scores_together_are_calibrated(artefact: Path, colours: Path) -> None:
    """What is promised is said for both, and `score` has the columns of the combined score."""
    folder = images(colours, 60)

    done = run(artefact, folder, "--per-class", "--combined", "--alpha", 0.2)
    back = run(artefact, folder, "--all-classes", "--no-combined")

    assert [0, 0] == [done.exit_code, back.exit_code], done.output + back.output
    heads, combined = done.stdout.splitlines()[-3:-1]
    assert heads.startswith("at most 20 % of new ID images that are predicted as one class")
    assert combined.startswith("combined, by the images that do not fix its p-values: at most 20 %")
    assert "\ncombined " in done.stdout
    assert f"\n{guarantee_sentence(Guarantee(0.2), Sample(60), ())}\n" in back.stdout


def test_each_class_has_its_threshold_on_the_screen(artefact: Path, colours: Path) -> None:
    """That of the score that decides, as the file applies it to images of this class."""
    result = run(artefact, images(colours, 60), "--per-class", "--alpha", 0.2)

    scorer = Scorer(artefact)
    primary, after = scorer.metadata.primary, scorer.metadata.calibration
    lines = result.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("predicted class"))
    assert lines[start].split() == ["predicted", "class", "images", "threshold", "of", primary]
    found = scorer.score_files(find_images(colours / "calibration"))
    for index, line in enumerate(lines[start + 2 : start + 5]):
        *_, count, shown = line.split()
        own = found.label_index == index
        assert int(count) == after.class_counts[index] == own.sum()
        passing = found.scores[primary][own & ~found.decisions[primary]]
        flagged = found.scores[primary][own & found.decisions[primary]]
        assert passing.max() <= float(shown) < flagged.min()


def test_a_combined_score_is_scored_and_pruned(artefact: Path, colours: Path) -> None:
    """Its three columns stand last; alone it needs the others, which are no columns then."""
    run(artefact, images(colours, 60), "--combined")
    image = find_images(colours / "test")[0]

    def header(*words: str) -> list[str]:
        arguments = ["score", str(artefact), str(image), "--format", "csv", *words]
        done = CliRunner().invoke(app, arguments)
        assert 0 == done.exit_code, done.output
        return done.stdout.splitlines()[0].split(",")

    columns = ["combined", "combined_pvalue", "combined_is_ood"]
    assert columns == header()[-3:]
    assert columns == header("--scores", "energy,combined")[-3:]
    assert not {"msp", "uniform_ce"} & {*header("--scores", "energy,combined")}
    assert not {*columns} & {*header("--scores", "energy")}


def test_the_device_is_checked_by_the_scores_that_are_combined(
    artefact: Path, colours: Path
) -> None:
    """The combined score follows every calibration, so no probe records it."""
    run(artefact, images(colours, 60), "--combined")

    done = CliRunner().invoke(app, ["check", str(artefact)])

    assert 0 == done.exit_code, done.output
    assert "combined" not in done.stdout


def test_a_threshold_of_ones_own_needs_no_images(artefact: Path) -> None:
    """It is shown, nothing is promised for it, and undo brings the other back."""
    before = Scorer(artefact).metadata

    done = run(artefact, "--threshold", "msp=0.25", "--threshold", "energy=-3")
    shown = CliRunner().invoke(app, ["inspect", str(artefact)]).stdout
    undone = run(artefact, "--undo")

    assert [0, 0] == [done.exit_code, undone.exit_code]
    assert "energy, msp: a manual threshold decides, for which no rate is" in done.stdout
    assert "\nthe other scores: at most 5 %" in done.stdout  # uniform_ce has its own still
    assert "\nat most 5 %" not in done.stdout
    assert "energy, msp: a manual threshold decides" in shown
    assert ["msp", f"{before.calibration.thresholds['msp']:.6g}", "0.25"] in [
        line.split() for line in done.stdout.splitlines()
    ]
    assert before == Scorer(artefact).metadata


def test_a_folder_of_unknown_images_is_asked_about(artefact: Path) -> None:
    """Thresholds that they set would let them pass, so only `--force` takes them."""
    folder, before = Path("grey images"), artefact.read_bytes()
    folder.mkdir()
    for level in range(40):
        Image.new("RGB", (16, 16), (5 * level, 5 * level, 5 * level)).save(folder / f"{level}.png")
    flagged = int(Scorer(artefact).score_files(find_images(folder)).is_ood.sum())
    assert flagged > 21  # halfway between 5 and 100 %

    refused = run(artefact, folder)

    assert 1 == refused.exit_code
    assert f"{flagged} of 40 calibration images are out-of-distribution" in refused.stderr
    assert "is this the right folder?" in refused.stderr
    assert "--force" in refused.stderr
    assert before == artefact.read_bytes()
    assert 0 == run(artefact, folder, "--force").exit_code
    assert 40 == Scorer(artefact).metadata.calibration.n


def test_another_file_can_be_written(artefact: Path, colours: Path) -> None:
    """The artefact stays, and OUT is replaced only by force."""
    before = artefact.read_bytes()
    folder = images(colours, 40)

    first = run(artefact, folder, "-o", "y.onnx")
    second = run(artefact, folder, "-o", "y.onnx")
    third = run(artefact, folder, "-o", "y.onnx", "--force")

    assert [0, 1, 0] == [first.exit_code, second.exit_code, third.exit_code]
    assert "error: 'y.onnx' exists\n" in second.stderr
    assert before == artefact.read_bytes()
    assert 40 == Scorer("y.onnx").metadata.calibration.n


def test_undo_goes_back(artefact: Path, colours: Path) -> None:
    """The thresholds of before are back and shown."""
    before = Scorer(artefact).metadata
    run(artefact, images(colours, 40))

    result = run(artefact, "--undo")

    assert 0 == result.exit_code
    assert before == Scorer(artefact).metadata
    assert f"{before.calibration.thresholds['msp']:.6g}" in result.stdout


def test_undo_without_a_past_is_an_error(artefact: Path) -> None:
    """There is nothing to go back to, and the file stays."""
    before = artefact.read_bytes()

    result = run(artefact, "--undo")

    assert 1 == result.exit_code
    assert "error: 'x.onnx' has no earlier calibration to go back to\n" in result.stderr
    assert before == artefact.read_bytes()


@pytest.mark.parametrize(
    ("count", "wanted", "message", "hint"),
    [
        (18, "--alpha 0.05", "18 calibration scores cannot give a 5% false", "at least 19, or"),
        (60, "--alpha 0.01", "60 calibration scores cannot give a 1% false", "at least 99, or"),
        (
            58,
            "--confidence 0.95",
            "threshold with 95% confidence",
            "use at least 59, or --alpha 0.",
        ),
        (19, "--alpha 1.5", "alpha is 1.5, expected a rate between 0 and 1", "try 0.05"),
        (37, "--combined", "37 calibration images are too few for a combined score", "add images"),
        (40, "--per-class --alpha 0.02", "cannot give a 2% false-alarm threshold", "at least 49"),
        (54, "--per-class --alpha 0.02", "no predicted class has more than", "leave out --per"),
        (19, "--threshold mps=1", "unknown score of this artefact 'mps'", "did you mean 'msp'?"),
        (19, "--confidence 1", "confidence is 1.0, expected a probability", "try 0.95"),
    ],
)
def test_too_few_images_are_an_error(
    artefact: Path, colours: Path, count: int, wanted: str, message: str, hint: str
) -> None:
    """One line says what is wrong, one how many are needed, and the file stays."""
    before = artefact.read_bytes()

    result = run(artefact, images(colours, count), *wanted.split())

    assert 1 == result.exit_code
    error, remedy = result.stderr.splitlines()[-2:]
    assert message in error
    assert hint in remedy
    assert before == artefact.read_bytes()


def test_training_images_are_an_error(artefact: Path, colours: Path) -> None:
    """Thresholds from images that the network knows by heart do not hold."""
    result = run(artefact, colours / "train")

    assert 1 == result.exit_code
    assert "60 of 60 calibration images are training images" in result.stderr
    assert "hint: calibrate with ID images that took no part in training\n" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["folder", "--undo"],
        ["--undo", "--alpha", "0.1"],
        ["--undo", "--confidence", "0.9"],
        ["--undo", "--per-class"],
        ["--undo", "--threshold", "msp=1"],
        ["--threshold", "msp=1", "--combined"],
        ["--threshold", "msp"],
        ["--threshold", "msp=much"],
        ["folder", "--alpha", "much"],
        ["folder", "--confidence", "95"],
    ],
)
def test_contradictions_are_usage_errors(artefact: Path, arguments: list[str]) -> None:
    """Images or --undo, and no rate beside --undo."""
    assert 2 == run(artefact, *arguments).exit_code


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_images_is_an_error(artefact: Path, folder: str) -> None:
    """Missing, or empty."""
    Path("empty").mkdir()

    result = run(artefact, folder)

    assert 1 == result.exit_code
    assert result.stderr.startswith("error: no ")


def test_a_file_from_elsewhere_is_reproduced_once_calibrated(artefact: Path, colours: Path) -> None:
    """`check` fails before, passes after, and fails again after --undo; `inspect` tells both."""
    metadata = Scorer(artefact).metadata
    elsewhere = Device("Cortex-A72", "aarch64", ("asimd",), "1.17.0", "cpu")
    scores = {head: [s + 1 for s in row] for head, row in metadata.probe.scores.items()}
    model = onnx.load(artefact)
    probe = replace(metadata.probe, scores=scores, device=elsewhere)
    store_metadata(model, replace(metadata, probe=probe))
    onnx.save(model, artefact)

    def check() -> int:
        return CliRunner().invoke(app, ["check", str(artefact)]).exit_code

    before = check()
    run(artefact, images(colours, 40))
    after = check()
    history = CliRunner().invoke(app, ["inspect", str(artefact)]).stdout
    run(artefact, "--undo")

    assert (1, 0, 1) == (before, after, check())
    rows = [line for line in history.splitlines() if line.startswith("20")]
    assert ["60", "40"] == [line.split()[2] for line in rows]
    assert rows[0].endswith("Cortex-A72 (aarch64), onnxruntime 1.17.0 on cpu")
    assert rows[1].endswith(str(this_device("cpu")))
