"""Options from a file, `--config FILE.toml`, and all of them as such a file, `--print-config`.

Every command has both. A file holds options by their long names; what it says is put where Click
looks before it takes a default, so that words of the command line win and nothing that a command
does depends on where an option comes from.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_output
from edge_ood.errors import InputError, UnknownNameError, UsageError
from edge_ood.files.regular import open_regular

__all__ = ["ConfigurableCommand"]

_HEADING = "Configuration"
_MOST_BYTES = 1_000_000  # a file that says every option takes 2,000
_LARGEST = 2**63  # what TOML has; Python reads any
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "boolean": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "path": ((str,), "a path in quotes"),
    "str": ((str, int, float), "text in quotes"),
}
"""By type of an option: what TOML may have for it, and how messages call that."""

_OLDER_NAMES = {"integer": "int", "text": "str"}  # of Click, which Typer brought before 0.26


class ConfigurableCommand(TyperCommand):
    """A command with `--config` and `--print-config`, which none of its code hears of."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params += [
            TyperOption(
                param_decls=["--config"],
                type=str,
                metavar="FILE.toml",
                help="Options by their long names, at the top or under [COMMAND]; what the command "
                "line says wins.",
                expose_value=False,
                rich_help_panel=_HEADING,
            ),
            TyperOption(
                param_decls=["--print-config"],
                is_flag=True,
                default=False,
                help="Print all options as --config reads them, and do nothing else.",
                expose_value=False,
                rich_help_panel=_HEADING,
            ),
        ]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, with options of a file behind it; or print them.

        Raises:
            InputError: If there is no such file, or nothing of its kind.
            UsageError: If what it says is no option of the command, or no value of it.
        """
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        asked = self.get_help_option(ctx)
        if asked is None or not given.get(asked.name or ""):
            if given.get("config") is not None:
                ctx.default_map = _read(Path(given["config"]), self, ctx)
            if given.get("print_config"):
                expect_standard_output()
                say(_document(self, ctx, given))
                ctx.exit()
        return super().parse_args(ctx, args)


def _document(command: TyperCommand, ctx: Any, given: Mapping[str, Any]) -> str:
    """A table of all options that have a value, as TOML."""
    lines = [f"[{command.name}]"]
    for name, option in _options(command).items():
        found, _ = option.consume_value(ctx, given)
        value = option.type_cast_value(ctx, found)
        if value not in (None, ()):
            lines.append(f"{name} = {_toml(value, name)}")
    return "\n".join(lines)


def _toml(value: Any, name: str) -> str:
    """A flag, a number, text or several, as TOML has them."""
    import json

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item, name) for item in value)}]"
    # A string of JSON is one of TOML, but for surrogates, and for DEL, which TOML wants escaped.
    quoted = json.dumps(str(value), ensure_ascii=False)
    if any("\ud800" <= mark <= "\udfff" for mark in quoted):
        raise InputError(
            f"--{name} is {value!r}, which is not UTF-8, as TOML has to be",
            hint="rename the file, or leave this one to the command line",
        )
    return "".join(mark if mark.isprintable() else f"\\U{ord(mark):08x}" for mark in quoted)


def _read(path: Path, command: TyperCommand, ctx: Any) -> dict[str, Any]:
    """What a file says of a command, by the names of its parameters."""
    document = _parsed(path)
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    parent = ctx.parent
    commands = [command.name or ""] if parent is None else parent.command.list_commands(parent)
    for key in tables:
        if key not in commands:
            raise UsageError(
                f"'{path}' has a table [{key}], which is no command",
                hint=UnknownNameError("command", key, commands).hint,
            )
    own = tables.get(command.name or "", {})
    said = {key: value for key, value in document.items() if key not in tables} | own
    return dict(_checked(path, key, value, command, ctx) for key, value in said.items())


def _parsed(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        with open_regular(path) as stream:
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"cannot read '{path}': {error.strerror}",
            hint="--config takes a file such as --print-config prints",
        ) from error
    if len(content) > _MOST_BYTES:
        raise InputError(
            f"'{path}' has more than {_MOST_BYTES:,} bytes, expected options",
            hint="--config takes a file such as --print-config prints",
        )
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"line {line} is not UTF-8"
    except RecursionError:
        reason = "it is nested too deep"
    except ValueError as error:
        reason = f"{str(error)[:1].lower()}{str(error)[1:]}"
    raise InputError(
        f"cannot read '{path}' as TOML: {reason}",
        hint='a line is such as image-size = 160, device = "cpu" or force = true',
    )


def _checked(path: Path, key: str, value: Any, command: TyperCommand, ctx: Any) -> tuple[str, Any]:
    """The name of the parameter that a key stands for, and the value as Click takes it."""
    option = _option(path, key, command)
    kind = option.type.name.removesuffix(" range")
    kinds, expected = _KINDS[_OLDER_NAMES.get(kind, kind)]
    several = option.multiple and isinstance(value, list)
    items = value if several else [value]
    if not all(_fits(item, kinds) for item in items):
        wanted = f"{expected}, or a list of such" if option.multiple else expected
        raise UsageError(
            f"{key} is {_shown(value)} in '{path}', expected {wanted}",
            hint=f"'edge-ood {command.name} --help' says what --{key} takes",
        )
    taken = items if option.multiple else value
    try:
        option.type_cast_value(ctx, taken)
    except typer.BadParameter as error:
        raise UsageError(
            f"{key} is {_shown(value)} in '{path}': {error.message}",
            hint=f"'edge-ood {command.name} --help' says what --{key} takes",
        ) from error
    return option.name or "", taken


def _option(path: Path, key: str, command: TyperCommand) -> TyperOption:
    """The option that a key stands for."""
    options = _options(command)
    if key in options:
        return options[key]
    if any(key == p.name for p in command.params if p.param_type_name == "argument"):
        raise UsageError(
            f"'{path}' has {key!r}, which 'edge-ood {command.name}' takes without a name",
            hint="put it on the command line; a file has options alone",
        )
    closest = UnknownNameError("option", key, options).closest
    listing = f"'edge-ood {command.name} --help' lists them"
    raise UsageError(
        f"'{path}' has {key!r}, which is no option of 'edge-ood {command.name}'",
        hint=f"did you mean {closest!r}? {listing}" if closest else listing,
    )


def _options(command: TyperCommand) -> dict[str, TyperOption]:
    """What a file may say, by long name without dashes."""
    return {
        next(name for name in p.opts if name.startswith("--")).removeprefix("--"): p
        for p in _own(command)
    }


def _own(command: TyperCommand) -> Iterator[Any]:
    for p in command.params:
        if p.param_type_name == "option" and p.expose_value:
            yield p


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value of TOML is of one of these types, and one that a command line can have."""
    if type(value) is int and abs(value) >= _LARGEST:
        return False
    return type(value) in kinds and not (isinstance(value, str) and "\0" in value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
