"""No name from a file or from the disk steers a terminal, whichever command quotes it."""

import ast
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_ood.cli import _say, app
from edge_ood.cli._say import say
from edge_ood.cli._tally import Tally
from edge_ood.files.plain_table import format_table
from edge_ood.tables.formats import SavedRow

ESCAPE = "\x1b[2J"
SHOWN = r"\x1b[2J"
DATA = {"typer.echo()", "typer.echo(picture)", "typer.echo(json_text(evaluation), nl=False)"} | {
    "typer.echo(csv_table(evaluation), nl=False)"
}
"""What is printed for programs, as it is."""


def calls(path: Path) -> set[str]:
    """Calls in a module that print past `say`."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    found = {ast.unparse(node) for node in nodes if isinstance(node, ast.Call)}
    return {call for call in found if call.startswith(("typer.echo(", "typer.secho(", "print("))}


def test_lines_stay_and_all_else_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """Escapes, a bell and text that runs backwards."""
    say(f"a{ESCAPE}\n\nb\a\u202e", err=True)

    assert f"a{SHOWN}\n\nb\\x07\\u202e\n" == capfd.readouterr().err


def test_commands_print_by_it_alone() -> None:
    """Whatever a command is going to quote next."""
    modules = set(Path(_say.__file__).parent.glob("*.py")) - {Path(_say.__file__)}

    assert {"app.py", "score.py"} < {module.name for module in modules}
    assert set().union(*map(calls, modules)) == DATA


def test_a_cell_stays_in_its_line() -> None:
    """A table is as wide as what is shown, and no cell begins another row."""
    assert f"h{SHOWN}\n--------\na\\nb" == format_table([f"h{ESCAPE}"], [["a\nb"]])


def test_a_status_in_a_table_is_shown() -> None:
    """A table that is resumed is text from a file."""
    tally = Tally()
    tally.take_over([SavedRow("./a.png", f"{ESCAPE}\n", is_ood=False)])

    assert f"0 flagged as out-of-distribution, 1 {SHOWN}\\n" in tally.summary()


def test_a_word_of_the_command_line_is_shown() -> None:
    """Shells put names of files there."""
    result = CliRunner().invoke(app.app, ["heads", f"--{ESCAPE}\udcff"])

    assert 2 == result.exit_code
    assert f"error: no such option: --{SHOWN}\\xff" in result.stderr


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_an_artefact_of_any_name_is_named(command: str, artefact: str, tmp_path: Path) -> None:
    """Bytes that are no text, too, in one line."""
    path = tmp_path / os.fsdecode(b"caf\xe9\x1b[2J\n.onnx")
    shutil.copy(artefact, path)

    result = CliRunner().invoke(app.app, [command, str(path)])

    assert 0 == result.exit_code
    assert rf"{tmp_path}/caf\xe9{SHOWN}\n.onnx: " in result.stdout
