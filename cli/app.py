"""The command line: wiring only, one file per command."""

import importlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from edge_ood.cli._bundles import GroupedCommand
from edge_ood.cli._errors import INTERRUPTED, OneLineErrors, report_full_disk
from edge_ood.cli._say import say
from edge_ood.cli._streams import open_standard_streams
from edge_ood.files.plain_table import WIDTH

__all__ = ["app", "main"]

_COMMANDS = (
    "train",
    "export",
    "score",
    "explain",
    "merge",
    "watch",
    "drift",
    "serve",
    "web",
    "evaluate",
    "calibrate",
    "attach",
    "check",
    "bench",
    "inspect",
    "heads",
    "demo",
)
_PLAIN: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
}


class _Commands(Mapping[str, Any]):
    """Commands by name, each imported from the file of its name when it is called or listed.

    To import and build all of them takes as long as half of what scoring one image adds to its
    libraries.
    """

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in _COMMANDS:
            raise KeyError(name)
        if name not in self._built:
            self._built[name] = _build(name)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


def _build(name: str) -> Any:
    alone = typer.Typer(**_PLAIN)
    command = getattr(importlib.import_module(f"edge_ood.cli.{name}"), name)
    alone.command(name, cls=GroupedCommand)(command)
    return typer.main.get_command(alone)


class _Group(OneLineErrors):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _Commands()})


app = typer.Typer(
    name="edge-ood",
    cls=_Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    **{**_PLAIN, "add_completion": True},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        say(metadata.version("edge-ood"))
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Image classifiers that know when an image is not something they were trained for.

    Train, export one ONNX file that decides, score, evaluate, calibrate.
    """


def main() -> None:
    """Entry point of the `edge-ood` command."""
    open_standard_streams()
    if sys.stdout.isatty():
        WIDTH.set(shutil.get_terminal_size().columns)
    try:
        app()
    except KeyboardInterrupt:
        # While the command line itself is being set up.
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        # While the help is printed.
        raise SystemExit(report_full_disk(error)) from error
