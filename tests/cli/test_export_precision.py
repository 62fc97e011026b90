"""`edge-ood export --precision`: what the user sees, and that every other command goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_ood.attachment import attach
from edge_ood.attachment.text import comparison_text
from edge_ood.cli.app import app
from edge_ood.parity import comparison
from edge_ood.parity.comparison import Comparison, HeadChange


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time one round."""
    monkeypatch.setattr(comparison, "_ROUNDS", 1)


def edge_ood(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def exported(run_path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Result]:
    """The session's run in the precision that the test names."""
    path = tmp_path / "x.onnx"
    words = ("-o", path, "--provider", "cpu", "--precision", *request.param)
    return path, edge_ood("export", run_path, *words)


@pytest.mark.parametrize("exported", [["fp16"], ["int8", "--int8-target", "avx2"]], indirect=True)
def test_every_command_takes_the_result(
    exported: tuple[Path, Result], image_folder: Path, tmp_path: Path
) -> None:
    """Export says what changed; inspect, check, score and calibrate are as ever."""
    path, done = exported

    assert 0 == done.exit_code, done.output
    assert "against fp32, on 512 training images:" in done.stdout
    assert "of the labels agree" in done.stdout
    assert "x as fast as fp32 on this machine" in done.stdout
    shown = edge_ood("inspect", path).stdout
    assert "of 512 labels differ" in shown
    targets = [line.split()[-1] for line in shown.splitlines() if "int8_target" in line]
    assert targets == (["avx2"] if shown.count("int8") else [])
    assert 0 == edge_ood("check", path).exit_code
    scored = edge_ood("score", path, image_folder, "-o", tmp_path / "x.csv")
    assert 0 == scored.exit_code, scored.output
    assert 0 == edge_ood("calibrate", path, image_folder).exit_code
    assert 0 == edge_ood("calibrate", path, "--undo").exit_code


def test_a_limit_that_fails_leaves_nothing_behind(
    run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One label is said to change: whether 7 bits change any depends on the processor."""
    compare = attach.compare

    def one_flip(*arguments: Any, **options: Any) -> Any:
        return replace(compare(*arguments, **options), label_flips=1)

    monkeypatch.setattr(attach, "compare", one_flip)
    words = ("--precision", "int8", "--int8-target", "avx2", "--max-label-flips", "0")

    done = edge_ood("export", run_path, "-o", tmp_path / "x.onnx", "--provider", "cpu", *words)

    assert 1 == done.exit_code
    assert "error: int8 changes the label of" in done.stderr
    assert "allowed 0.00%" in done.stderr
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "int9"], "unknown precision 'int9'"),
        (["--int8-target", "arm"], "an int8 target for a classifier in fp32"),
        (["--precision", "int8", "--int8-target", "x86"], "unknown int8 target 'x86'"),
        (["--precision", "int8", "--scores", "energy,odin"], "score 'odin' steps along"),
        (["--precision", "fp16", "--max-label-flips", "-1"], "at most -1.0 of the labels"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    run_path: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    """Before the network is traced."""
    done = edge_ood("export", run_path, "-o", tmp_path / "x.onnx", *words)

    assert 1 == done.exit_code
    assert f"error: {message}" in done.stderr
    assert "hint: " in done.stderr
    assert "tracing" not in done.stderr
    assert [] == list(tmp_path.iterdir())


def comparison_of(
    *, label_flips: int = 0, speed: float = 2.0, correlation: float = 0.99875
) -> Comparison:
    heads = (HeadChange("energy", correlation, 0.0125, 0.0025),)
    return Comparison(400, label_flips, 0.0213, heads, 2_500_000, 9_400_000, speed)


def test_a_gain_is_reported_without_a_warning() -> None:
    """Ranks, flips before and after, labels, sizes and speed."""
    found = comparison_of(label_flips=4)

    said = comparison_text("int8", found)

    row = next(line for line in said.splitlines() if line.startswith("energy"))
    assert ["energy", "0.9988", "1.25%", "0.25%"] == row.split()
    assert "99.00% of the labels agree, logits differ by 2.13% of their spread" in said
    assert "2.50 MB instead of 9.40 MB; 2.00 x as fast as fp32 on this machine" in said
    assert [] == found.warnings("int8")


def test_a_slower_network_is_a_warning() -> None:
    """Fewer bits are no gain on every network; the user is told that this is one."""
    found = comparison_of(speed=0.8).warnings("int8")

    expected = "int8 makes this network slower on this machine: it takes 1.25 x the time of fp32"
    assert [expected] == found


def test_many_changed_labels_are_a_warning() -> None:
    """More than one in a hundred; the option that makes it an error is named."""
    (said,) = comparison_of(label_flips=5).warnings("int8")

    assert said.startswith("int8 changes the label of 1.25% of the images (5 of 400)")
    assert "--max-label-flips" in said


@pytest.mark.parametrize(("correlation", "warned"), [(0.96, False), (0.94, True), (-0.2, True)])
def test_another_ranking_is_a_warning(correlation: float, warned: bool) -> None:
    """Heads whose scores order images otherwise are named with their correlation."""
    found = comparison_of(correlation=correlation).warnings("fp16")

    expected = f"fp16 ranks images otherwise than fp32 by energy ({correlation:.2f})"
    assert ([expected] if warned else []) == found
