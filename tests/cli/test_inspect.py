"""`edge-ood inspect`: what an artefact says about itself, in lines that cannot be forged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from edge_ood.artifact.calibration_record import ArchivedCalibration
from edge_ood.artifact.device import Device
from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.packed import Manifest
from edge_ood.calibration.decision import fit_decision
from edge_ood.calibration.guarantee import Guarantee, Sample
from edge_ood.calibration.guarantee_sentences import guarantee_sentence
from edge_ood.cli import inspect as module
from edge_ood.cli.app import app
from edge_ood.graph.head_costs import added_bytes
from edge_ood.runtime.scorer import Scorer


@pytest.fixture(scope="module")
def metadata(colour_artifact: Path) -> Metadata:
    """The metadata of a real artefact."""
    return Scorer(colour_artifact).metadata


def report(metadata: Metadata) -> str:
    """The report, with 1, 2, ... bytes for the scores and 9 for all."""
    names = metadata.head_names
    added = {(name,): number for number, name in enumerate(names, 1)}
    return module.report(metadata, {**added, names: 9})


def facts(text: str) -> dict[str, str]:
    """The lines above the table, by their names."""
    lines = text.partition("\n\n")[0].splitlines()
    return {name: value.strip() for name, _, value in (line.partition("  ") for line in lines)}


def test_the_command_shows_the_report(colour_artifact: Path, metadata: Metadata) -> None:
    """The file and its size, then everything else."""
    result = CliRunner().invoke(app, ["inspect", str(colour_artifact)])

    assert 0 == result.exit_code
    added = added_bytes(onnx.load(colour_artifact), metadata.head_names)
    shown = module.report(metadata, added)
    assert result.stdout.startswith(f"{colour_artifact}: 0.01 MB\n\n{shown}\n\n")


def test_bytes_that_scores_add_are_shown(colour_artifact: Path) -> None:
    """Each alone is less than all together, and these less than what the parts of scores have.

    The decision and the statistics are all that these scores need; names of parts add a little.
    """
    result = CliRunner().invoke(app, ["inspect", str(colour_artifact)])

    tables = [table.splitlines() for table in result.stdout.split("\n\n")]
    heads = next(table for table in tables if table[0].startswith("head "))
    assert heads[0].endswith("bytes added")
    added = {line.rsplit(maxsplit=4)[0].strip(): int(line.split()[-1]) for line in heads[2:]}
    together = added.pop("all together")
    assert ["energy", "msp", "uniform_ce"] == list(added)
    assert max(added.values()) < together < sum(added.values())
    parts = {line.split()[0]: int(line.split()[2]) for line in tables[-1][2:]}
    assert together == pytest.approx(parts["statistics"] + parts["decision"], rel=0.2)


def test_the_bytes_are_shared_out(colour_artifact: Path) -> None:
    """Each part with nodes, bytes and share, and the size of the file below."""
    result = CliRunner().invoke(app, ["inspect", str(colour_artifact)])

    lines = [line.split() for line in result.stdout.rpartition("\n\n")[2].splitlines()]
    assert ["part", "nodes", "bytes", "share"] == lines[0]
    sizes = {line[0]: int(line[2]) for line in lines[2:]}
    assert colour_artifact.stat().st_size == sizes.pop("file") == sum(sizes.values())
    assert ["preprocessing", "classifier", "gradient"] == list(sizes)[:3]


def test_thresholds_per_class_are_shown(
    colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """One row a class, with what the graph itself flags by: just under it passes, over it not."""
    path = tmp_path / "x.onnx"
    arguments = ["--per-class", "--alpha", "0.2", "-o", str(path)]
    made = CliRunner().invoke(
        app, ["calibrate", str(colour_artifact), str(colours / "test"), *arguments]
    )
    result = CliRunner().invoke(app, ["inspect", str(path)])

    assert (0, 0) == (made.exit_code, result.exit_code), made.stderr
    table = next(t for t in result.stdout.split("\n\n") if t.startswith("predicted class"))
    heading, _, *rows = table.splitlines()
    assert ["images", "energy", "msp", "uniform_ce"] == heading.split()[2:]
    limits = {row.rsplit(maxsplit=4)[0].strip(): float(row.split()[-3]) for row in rows}
    scores = Scorer(path)(colours / "test")
    expected = [
        score > limits[label]
        for score, label in zip(scores.scores["energy"], scores.label, strict=True)
    ]
    assert expected == scores.decisions["energy"].tolist()
    assert len(set(limits.values())) > 1


def test_what_decides_is_shown(metadata: Metadata) -> None:
    """Classes, input, the head that decides, its rate, and on what it was calibrated."""
    found = facts(report(metadata))

    assert "3: =green, red apple, \u84dd\u2215blue" == found["classes"]
    assert "16 x 16 px, center-crop, bilinear" == found["input"]
    assert "0.25, 0.25, 0.25" == found["std"]
    assert "energy, at a false-alarm rate of 0.05" == found["decides by"]
    assert f"{metadata.calibration.date} on 60 images" == found["calibrated"]
    assert guarantee_sentence(Guarantee(), Sample(60), ()) == found["guarantee"]
    assert ("60", "60") == (found["training images"], found["calibration images"])


def test_the_part_of_an_image_that_is_seen_is_shown(metadata: Metadata) -> None:
    """Both sides, where they differ, and the filter."""
    preprocess = replace(metadata.preprocess, crop=0.8, interpolation="bicubic")

    found = facts(report(replace(metadata, preprocess=preprocess)))

    assert "16 x 16 px of 20 x 20 px, center-crop, bicubic" == found["input"]


def test_a_file_that_was_never_calibrated_guarantees_nothing(metadata: Metadata) -> None:
    """Neither date nor guarantee."""
    never = replace(metadata, calibration=replace(metadata.calibration, n=0))

    found = facts(report(never))

    assert "never" == found["calibrated"]
    assert "nothing: it was never calibrated" == found["guarantee"]


def test_thresholds_and_parity_are_shown_by_head(metadata: Metadata) -> None:
    """A head without a parity report has a dash."""
    parity = {"differences": [{"output": "msp", "error": 1.25e-7}, {"output": "label"}, 3]}

    lines = report(replace(metadata, parity=parity)).splitlines()

    cells = {line.split()[0]: line.split()[1:] for line in lines if line}
    threshold = f"{metadata.calibration.thresholds['msp']:.6g}"
    assert ["temperature=1.0", threshold, "1.2e-07", "2"] == cells["msp"]
    assert "temperature=1.0" == cells["energy"][0]
    assert ["-", "1"] == cells["energy"][-2:]
    assert ["together", "-", "-", "-", "9"] == cells["all"]


def test_calibrations_are_shown_with_their_devices(metadata: Metadata) -> None:
    """Oldest first, with date, rate, number of images and device; the last is in force."""
    past = replace(metadata.calibration, n=20, date="2026-01-02T03:04:05+00:00", alpha=0.1)
    scores = dict.fromkeys(metadata.head_names, np.arange(20))
    decision = fit_decision(scores, np.zeros(20, np.int64), 3, Guarantee(0.1))
    archived = ArchivedCalibration.of(past, Manifest(), "cuda", decision)
    elsewhere = replace(metadata.probe, device=Device("A\x1b[2J", "arm", (), "1.17.0", "cpu"))
    history = (archived, replace(archived, probe=elsewhere))

    lines = report(replace(metadata, history=history)).splitlines()[-4:]

    first = ["2026-01-02T03:04:05+00:00", "0.1", "20"]
    assert [*first, "cuda"] == lines[1].split()
    assert [*first, r"A\x1b[2J", "(arm),", "onnxruntime", "1.17.0", "on", "cpu"] == lines[2].split()
    now = [metadata.calibration.date, "0.05", "60", *str(metadata.probe.device).split()]
    assert now == lines[3].split()


def test_what_a_calibration_holds_stands_beside_its_rate(metadata: Metadata) -> None:
    """Confidence, classes, the combined score and manual thresholds."""
    held = replace(
        metadata.calibration,
        confidence=0.9,
        per_class=True,
        class_counts=(45, 15, 0),
        manual_thresholds=("msp",),
    )

    line = report(replace(metadata, calibration=held)).splitlines()[-1]

    assert "  0.05, for 90 %, per class, manual thresholds  " in line


def test_without_a_calibration_there_is_no_history(metadata: Metadata) -> None:
    """A file that cannot decide yet has nothing to show."""
    never = replace(metadata, calibration=replace(metadata.calibration, n=0))

    assert "device" not in report(never)


def test_many_classes_are_cut(metadata: Metadata) -> None:
    """A thousand names are no summary."""
    classes = tuple(f"c{i}" for i in range(1000))

    found = facts(report(replace(metadata, classes=classes)))

    assert found["classes"].startswith("1000: c0, c1, ")
    assert found["classes"].endswith(", c19, 980 more")


def test_names_cannot_forge_lines(metadata: Metadata) -> None:
    """Line breaks and escape sequences in an artefact's texts are shown, not obeyed."""
    calibration = replace(metadata.calibration, date="\x1b]0;\nowned")
    classes = ("a\nedge-ood  9.9", "\x1b[2Jb", "c\u202e")
    hostile = replace(metadata, classes=classes, calibration=calibration)

    text = report(hostile)

    assert r"a\nedge-ood  9.9, \x1b[2Jb, c\u202e" in text
    assert 2 == text.count(r"\x1b]0;\nowned")
    assert len(report(metadata).splitlines()) == len(text.splitlines())


def test_a_file_that_is_not_ours_is_an_error(tmp_path: Path) -> None:
    """One line and a hint."""
    (tmp_path / "x.onnx").write_text("nothing")

    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "x.onnx")])

    assert 1 == result.exit_code
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]
