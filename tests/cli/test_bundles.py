"""Bundles of options: filled from the command line, and shown under their headings."""

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from edge_ood.cli._bundles import GroupedCommand, bundle, options_of, with_bundles
from edge_ood.cli.app import app


@bundle("Speed")
class Speed:
    """Two options."""

    gear: Annotated[int, typer.Option(help="The gear.")] = 1
    turbo: Annotated[bool, typer.Option("--turbo", help="Faster.")] = False


@pytest.fixture
def drive() -> tuple[typer.Typer, list[Any]]:
    """A command line of one command, and what it was called with."""
    calls: list[Any] = []
    command_line = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

    @command_line.command(cls=GroupedCommand)
    @with_bundles
    def drive(road: str, *, speed: Speed, lights: bool = False) -> None:
        """Drive."""
        calls.append((road, lights, speed))

    return command_line, calls


def test_options_fill_their_bundle(drive: tuple[typer.Typer, list[Any]]) -> None:
    """The command gets one value for all of them."""
    command_line, calls = drive

    CliRunner().invoke(command_line, ["A1", "--gear", "3", "--lights"])

    assert [("A1", True, Speed(gear=3))] == calls


def test_defaults_are_those_of_the_bundle(drive: tuple[typer.Typer, list[Any]]) -> None:
    """An option that is not given keeps them."""
    command_line, calls = drive

    CliRunner().invoke(command_line, ["A1"])

    assert [("A1", False, Speed(gear=1, turbo=False))] == calls


def test_the_help_has_own_options_first(drive: tuple[typer.Typer, list[Any]]) -> None:
    """What the command itself names stands before the headings of bundles."""
    text = CliRunner().invoke(drive[0], ["--help"]).stdout

    places = [text.index(word) for word in ("Options:", "--lights", "Speed:", "--gear")]
    assert sorted(places) == places


def test_several_bundles_are_one_mapping() -> None:
    """By the names of the options."""
    assert {"gear": 2, "turbo": False} == options_of(Speed(gear=2))


@pytest.mark.parametrize("command", ["train", "export", "attach", "evaluate", "score"])
def test_a_command_names_few_options_itself(command: str) -> None:
    """What one always needs; the others stand under headings."""
    text = CliRunner().invoke(app, [command, "--help"]).stdout
    own = text.partition("\nOptions:\n")[2].partition("\n\n")[0]

    assert sum(line.startswith("  -") for line in own.splitlines()) <= 15
