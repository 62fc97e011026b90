"""`edge-ood heads`: the registry as a table, and what each head costs."""

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.runtime import registered_costs as module
from edge_ood.scores import HEADS, bind_head

WITHOUT_ONNX = """
import sys
sys.modules["onnx"] = None
sys.argv = ["edge-ood", "heads", *sys.argv[1:]]
from edge_ood.cli import main
main()
"""


def test_every_head_is_listed_with_its_source() -> None:
    """One line each, in name order, with what it reads."""
    result = CliRunner().invoke(app, ["heads"])

    lines = result.stdout.partition("\nA pass is")[0].splitlines()[2:]
    assert 0 == result.exit_code
    assert HEADS.names() == [line.split()[0] for line in lines]
    for line in lines:
        head = HEADS.get(line.split()[0])
        assert line.endswith(head.source)
        assert ", ".join(head.inputs) in line


def test_parameters_and_fitting_are_shown() -> None:
    """As they are written in --scores."""
    lines = {
        line.split()[0]: line for line in CliRunner().invoke(app, ["heads"]).stdout.splitlines()
    }

    assert "temperature=1.0" in lines["energy"]
    assert "training images" in lines["mahalanobis"]
    assert "training images" not in lines["energy"]


def test_gradients_and_passes_are_shown() -> None:
    """Two of a head with a step, one of the others, whatever their parameters allow."""
    table = CliRunner().invoke(app, ["heads"]).stdout.partition("\nA pass is")[0].splitlines()[2:]

    for line in table:
        name = line.split()[0]
        passes = "2, gradient" if bind_head(name).step.length else "1"
        assert passes in re.split("  +", line)


@pytest.mark.parametrize("name", ["nci", "vim"])
def test_the_last_layer_is_a_need(name: str) -> None:
    """Of heads that read it."""
    lines = CliRunner().invoke(app, ["heads"]).stdout.splitlines()

    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    assert ", last layer " in line


def test_costs_of_all_heads_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and two times each, or a sentence below."""
    monkeypatch.setattr(module, "_SECONDS", 0.0)

    result = CliRunner().invoke(app, ["heads", "--costs", "--classes", "3", "--features", "32"])

    assert 0 == result.exit_code
    assert "statistics of 6000 rows" in result.stderr
    assert "32 features and 3 classes" in result.stdout
    table, _, rest = result.stdout.partition("\nNot measured:\n")
    rows = [line.split() for line in table.partition("---\n")[2].splitlines()]
    others = re.findall(r"^  (\w+): (.*)\.$", rest, re.MULTILINE)
    assert HEADS.names() == sorted([row[0] for row in rows] + [name for name, _ in others])
    assert all(int(size) > 0 and float(a) >= 0 and float(b) >= 0 for _, size, a, b in rows)
    assert dict(others)["odin"] == "a gradient through the network and 1 more pass of it"
    assert {name for name, _ in others} >= {n for n in HEADS.names() if bind_head(n).epsilon}


def test_without_anything_unmeasured_there_is_nothing_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The table is the end."""
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    monkeypatch.setattr(HEADS, "names", lambda: ["msp"])

    lines = CliRunner().invoke(app, ["heads", "--costs"]).stdout.splitlines()

    assert "msp" == lines[-1].split()[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--classes", "3"], "hint: add --costs"),
        (["--features", "3"], "hint: add --costs"),
        (["--costs", "--classes", "1"], "1 is not in the range 2<=x<=4096"),
        (["--costs", "--features", "0"], "0 is not in the range 1<=x<=4096"),
        (["--costs", "--features", "4097"], "4097 is not in the range"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(arguments: list[str], expected: str) -> None:
    """With the exit code of usage errors."""
    result = CliRunner().invoke(app, ["heads", *arguments])

    assert 2 == result.exit_code
    assert expected in result.stderr


def test_without_onnx_heads_are_listed_and_not_measured() -> None:
    """One line says what is missing, and one how to get it."""
    listed, measured = (
        subprocess.run(
            [sys.executable, "-Ic", WITHOUT_ONNX, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        for arguments in ((), ("--costs",))
    )

    assert (0, "") == (listed.returncode, listed.stderr)
    assert (1, "") == (measured.returncode, measured.stdout)
    assert [
        "error: measuring heads needs onnx, which is not installed",
        "hint: pip install 'edge-ood[cpu]'",
    ] == measured.stderr.splitlines()


def test_the_direction_is_said() -> None:
    """The last line is the one rule that holds for all of them."""
    text = CliRunner().invoke(app, ["heads"]).stdout

    assert "Larger scores are more out-of-distribution" in text.splitlines()[-1]


def test_what_is_there_for_comparison_alone_is_said_with_the_reason() -> None:
    """Between the table and the last lines."""
    text = CliRunner().invoke(app, ["heads"]).stdout

    compared = [name for name in HEADS.names() if HEADS.get(name).not_recommended]
    assert "ash" in compared
    for name in compared:
        assert f"  {name}: {HEADS.get(name).not_recommended}." in text.splitlines()
