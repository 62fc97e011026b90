"""Options from a file, `--config`, and all of them as such a file, `--print-config`."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from edge_ood.cli._bundles import GroupedCommand
from edge_ood.cli._errors import OneLineErrors
from edge_ood.cli.app import app

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # a group
ODD_TEXT = "a \"b\" \\ 'c' = # é \U0001f600\n\x7f\u202e"
VALUES = {
    **{"int": 2, "float": 0.5, "str": ODD_TEXT, "path": "some where/x"},
    **{"integer": 2, "text": ODD_TEXT},  # as Click calls them, with which Typer came before
}


@pytest.fixture
def drive() -> Any:
    """A command line with two commands, of which one says what it was called with."""
    command_line = typer.Typer(
        cls=OneLineErrors, rich_markup_mode=None, pretty_exceptions_enable=False
    )

    @command_line.command(cls=GroupedCommand)
    def drive(
        road: Annotated[str, typer.Argument()] = "A1",
        *,
        gear: Annotated[int, typer.Option(min=1)] = 1,
        speed: float = 2.5,
        name: str | None = None,
        goal: Path | None = None,
        stop: list[str] | None = None,
        lights: Annotated[bool | None, typer.Option("--lights/--dark")] = None,
    ) -> None:
        """Drive."""
        typer.echo(repr((road, gear, speed, name, goal, stop, lights)))

    @command_line.command(cls=GroupedCommand)
    def park(*, gear: int = 0) -> None:
        """Park."""
        typer.echo(repr(gear))

    return command_line


def run(command_line: Any, *words: Any) -> Any:
    """The outcome of a command."""
    return CliRunner().invoke(command_line, [str(word) for word in words])


def complaint(command_line: Any, *words: Any, exit_code: int = 2) -> str:
    """The error and the hint of a command that fails with both."""
    result = run(command_line, *words)
    assert exit_code == result.exit_code, result.output
    assert isinstance(result.exception, SystemExit)
    error, hint = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    return f"{error}\n{hint}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where configurations of a test lie."""
    return tmp_path / "drive.toml"


def options(command: Any) -> Iterator[tuple[str, Any]]:
    """Every option that a file may have."""
    for parameter in command.params:
        names = [name for name in parameter.opts if name.startswith("--")]
        if parameter.param_type_name == "option" and parameter.expose_value:
            yield names[0], parameter


def every_option(command: Any) -> tuple[list[str], dict[str, Any]]:
    """Words that give each option of a command a value, and what TOML has for them."""
    words: list[str] = []
    said: dict[str, Any] = {}
    for name, option in options(command):
        key = name.removeprefix("--")
        if option.is_flag:
            words += [name]
            said[key] = True
            continue
        value = VALUES[option.type.name.removesuffix(" range")]
        said[key] = [value, value] if option.multiple else value
        words += [name, str(value)] * (2 if option.multiple else 1)
    return words, said


def called_with(command: str, words: list[str]) -> dict[str, Any]:
    """What a command would be called with."""
    heard: list[dict[str, Any]] = []
    group: Any = get_command(app)
    group.commands[command].callback = lambda **given: heard.append(given)
    group.main([command, *words], standalone_mode=False)
    return {name: str(v) if isinstance(v, Path) else v for name, v in heard[0].items()}


def required(command: str) -> tuple[list[str], list[str]]:
    """A word for each argument of a command, and words for each option that it wants."""
    params = COMMANDS[command].params
    wanted = [p.opts[-1] for p in params if p.param_type_name == "option" and p.required]
    return (
        [p.name for p in params if p.param_type_name == "argument"],
        [word for name in wanted for word in (name, "there")],
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_printed_as_it_was_given(command: str) -> None:
    """As TOML of the same values, whatever stands in texts; and that is all that happens."""
    words, said = every_option(COMMANDS[command])

    result = run(app, command, *words, "--print-config")

    assert (0, "") == (result.exit_code, result.stderr)
    assert {command: said} == tomllib.loads(result.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed_is_read_back(command: str, file: Path) -> None:
    """With every option, and with none: the file prints as itself."""
    for words in (every_option(COMMANDS[command])[0], []):
        printed = run(app, command, *words, "--print-config").stdout
        file.write_text(printed, "utf-8")

        assert printed == run(app, command, "--config", file, "--print-config").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_called_as_if_options_had_been_typed(command: str, file: Path) -> None:
    """Options that nobody gave included: a recipe overrides what it did before."""
    arguments, needed = required(command)
    for words in (every_option(COMMANDS[command])[0], needed):
        file.write_text(run(app, command, *words, "--print-config").stdout, "utf-8")

        expected = called_with(command, [*arguments, *words])
        assert expected == called_with(command, [*arguments, "--config", str(file)])


def test_a_default_that_is_nothing_is_not_printed() -> None:
    """What a recipe decides stays its own."""
    said = tomllib.loads(run(app, "train", "--recipe", "baseline-cifar10", "--print-config").stdout)

    assert {"lr", "epochs", "objective"}.isdisjoint(said["train"])


def test_the_command_line_wins(drive: Any, file: Path) -> None:
    """Over the file, which wins over the defaults; a list is replaced."""
    file.write_text('gear = 3\nspeed = 7\nlights = true\nstop = ["a", "b"]\n')

    result = run(drive, "drive", "--config", file, "--gear", "2", "--dark", "--stop", "c")

    assert "('A1', 2, 7.0, None, None, ['c'], False)\n" == result.stdout


def test_a_table_is_of_one_command(drive: Any, file: Path) -> None:
    """And wins over what stands above for all of them."""
    file.write_text('gear = 3\n[drive]\ngear = 4\nname = "x"\n')

    assert "('A1', 4, 2.5, 'x', None, None, None)\n" == run(drive, "drive", "--config", file).stdout
    assert "3\n" == run(drive, "park", "--config", file).stdout


def test_text_may_be_a_number(drive: Any, file: Path) -> None:
    """As for options that take a word or a number."""
    file.write_text("name = 3\nstop = 0.5\n")

    result = run(drive, "drive", "--config", file)

    assert "('A1', 1, 2.5, '3', None, ['0.5'], None)\n" == result.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gaer = 3", ["'gaer', which is no option of 'edge-ood drive'", "did you mean 'gear'?"]),
        ("qqqq = 3", ["'qqqq', which is no option", "hint: 'edge-ood drive --help' lists them"]),
        ("config = 'x'", ["'config', which is no option"]),
        ("road = 'B2'", ["'road', which 'edge-ood drive' takes without a name", "command line"]),
        ("[dirve]\ngear = 1", ["table [dirve], which is no command", "did you mean 'drive'?"]),
        ("gear = 'two'", ["gear is 'two'", "expected a whole number"]),
        ("gear = 2.0", ["gear is 2.0", "expected a whole number"]),
        ("gear = true", ["gear is True", "expected a whole number"]),
        ("gear = [1]", ["gear is [1]", "expected a whole number"]),
        ("gear = 0", ["gear is 0", "range x>=1"]),
        (f"speed = {10**400}", ["speed is 1000", "...", "expected a number"]),
        ("speed = 2026-01-01", ["speed is datetime.date", "expected a number"]),
        ("goal = 1", ["goal is 1", "expected a path in quotes"]),
        ('goal = "a\\u0000b"', ["goal is 'a\\x00b'", "expected a path in quotes"]),
        ("lights = 1", ["lights is 1", "expected true or false"]),
        ("stop = ['a', true]", ["stop is ['a', True]", "expected text in quotes, or a list"]),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    drive: Any, file: Path, text: str, said: list[str]
) -> None:
    """With the key, the file and what was expected, in two lines."""
    file.write_text(text)

    found = complaint(drive, "drive", "--config", file)

    assert [] == [words for words in [*said, str(file)] if words not in found]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"gear = 1\ngear 2\n", "(at line 2, column 6)"),
        (b"gear = 1\ngear = 2\n", "(at line 2"),
        (b"gear = 1\nname = '\xff'\n", "line 2 is not UTF-8"),
        (b"gear = " + b"[" * 100_000, "nested too deep"),
        (b"gear = " + b"9" * 5_000, "integer"),
    ],
)
def test_what_is_no_toml_is_refused(drive: Any, file: Path, content: bytes, reason: str) -> None:
    """With the line, where there is one."""
    file.write_bytes(content)

    found = complaint(drive, "drive", "--config", file, exit_code=1)

    assert f"cannot read '{file}' as TOML: " in found
    assert reason in found


def test_what_is_no_file_is_refused(drive: Any, tmp_path: Path) -> None:
    """Nothing at all, a folder, a pipe, a device without an end, and what is far too long."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b"#" * 1_000_001)
    for path, reason in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path / "long", "more than 1,000,000 bytes"),
    ):
        found = complaint(drive, "drive", "--config", path, exit_code=1)

        assert reason in found
        assert f"'{path}'" in found


def test_a_name_that_is_no_text_cannot_be_printed(drive: Any) -> None:
    """TOML is UTF-8, and file names need not be."""
    found = complaint(drive, "drive", "--goal", "a\udcff", "--print-config", exit_code=1)

    assert "--goal" in found
    assert "UTF-8" in found


def test_help_needs_no_file(drive: Any, tmp_path: Path) -> None:
    """Whoever asks what a file may say need not have one that is right."""
    result = run(drive, "drive", "--config", tmp_path / "missing", "--help")

    assert 0 == result.exit_code
    assert "--print-config" in result.stdout
