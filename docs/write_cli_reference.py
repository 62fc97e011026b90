"""Writes `cli.md`, the reference of the command line, from the commands themselves.

`make reference` runs it; a test fails while the page says anything else. Lists of registered names
become links to their pages, so that a new head or objective leaves this page as it is.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

from edge_ood.cli.app import app
from edge_ood.registry import Registry

PAGE = Path(__file__).with_name("cli.md")

_INTRODUCTION = """# Command line

`make reference` writes this page from the commands themselves; `edge-ood COMMAND --help` says the
same in a terminal. Results go to stdout, or where `-o` says, and everything else to stderr.

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | an error, said in one line `error: ...` and mostly one line `hint: ...` |
| 2 | the command line cannot be read |
| 3 | `--fail-on-ood` was given, and an image was flagged |
| 130, 143 | interrupted by Ctrl-C, or by SIGTERM |

## Options from a file

Every command reads options from a TOML file, `--config FILE.toml`, by their long names without
dashes. What stands at the top is for every command that reads the file; a table is for the command
of its name, and wins over the top:

```toml
provider = "cpu"

[export]
alpha = 0.01

[evaluate]
far = ["textures", "scenes"]
allow-seen = true
```

Words on the command line win over the file; they replace a list of the file and do not add to it.
Options that may be repeated are lists, switches are `true` or `false`, and options that take a word
or a number take either. Paths are as on the command line, relative to the working directory and not
to the file, and `~` is not expanded. What has no name, such as the folder to train on, stays on the
command line. An option of the file counts as given: a recipe does not override it.

`--print-config` prints all options that have a value as such a table, those of `--config` included,
and does nothing else: `edge-ood train --print-config > train.toml` begins a file, and `>>` adds the
table of another command. A file can do what the command line can, such as name code to run by
`model` or `trust`: read those of others before you use them.
"""

_LISTS = {
    "edge_ood.scores": "[listed with the score heads](heads.md)",
    "edge_ood.objectives": "[listed with the objectives](objectives.md)",
    "edge_ood.models": "[listed with the models](models.md)",
    "edge_ood.recipes": "[listed with the recipes](recipes.md)",
    "edge_ood.training.loggers": "[a logger](training.md#loggers)",
    "edge_ood.synthetic": "[listed with the synthetic images](synthetic-images.md)",
    "edge_ood.corruptions": "[listed with the corruptions](corruptions.md)",
}
_KINDS_OF_VALUES = {"path": "PATH", "str": "TEXT", "int": "INTEGER", "float": "NUMBER"}


def reference() -> str:
    """The page: every command with its arguments, options and examples."""
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # a group
    return "\n".join([_INTRODUCTION, *(_command(name, commands[name]) for name in commands)])


def _command(name: str, command: Any) -> str:
    arguments = [_name(p) for p in command.params if p.param_type_name == "argument"]
    text, examples = _without_examples(command.help)
    blocks = [
        f"## {name}",
        f":::{{program}} edge-ood {name}\n:::",
        f"`{' '.join(['edge-ood', name, '[OPTIONS]', *arguments])}`",
        *(_marked_up(paragraph) for paragraph in text),
        "\n".join(["```console", *(f"$ {example}" for example in examples), "```"]),
        *_parameters(command.params),
    ]
    return "\n\n".join(blocks) + "\n"


def _parameters(parameters: Sequence[Any]) -> Iterator[str]:
    """Arguments and the command's own options, then those of bundles under their headings."""
    by_heading: dict[str, list[str]] = {}
    for parameter in parameters:
        heading = getattr(parameter, "rich_help_panel", None) or ""
        by_heading.setdefault(heading, []).append(_parameter(parameter))
    for heading, entries in by_heading.items():
        if heading:
            yield f"**{heading}**"
        yield from entries


def _without_examples(text: str) -> tuple[list[str], list[str]]:
    """Paragraphs of a help text, and its examples."""
    paragraphs = text.strip().split("\n\n")
    examples = [p.removeprefix("Example: ") for p in paragraphs if p.startswith("Example: ")]
    return [p for p in paragraphs if not p.startswith("Example: ")], examples


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        signature = _name(parameter).strip("[]")
    else:
        spellings = [*parameter.opts, *parameter.secondary_opts]
        signature = ", ".join(spellings) + _value_of(parameter)
    sentences = [_marked_up(parameter.help), *_limits(parameter)]
    return f":::{{option}} {signature}\n{' '.join(sentences)}\n:::"


def _name(argument: Any) -> str:
    """An argument as the usage line shows it, in brackets where it may be left out."""
    name = (argument.metavar or argument.name.upper()).strip("[]")
    return name if argument.required else f"[{name}]"


def _value_of(option: Any) -> str:
    """What follows the option, with a space before it; nothing behind a switch."""
    if option.is_flag:
        return ""
    kind = option.type.name.removesuffix(" range")
    return f" {option.metavar or _KINDS_OF_VALUES[kind]}"


def _limits(parameter: Any) -> Iterator[str]:
    if parameter.required and parameter.param_type_name == "option":
        yield "Required."
    if getattr(parameter, "multiple", False):
        yield "May be repeated."
    least, most = (getattr(parameter.type, end, None) for end in ("min", "max"))
    if least is not None:
        yield f"From {least:g} to {most:g}." if most is not None else f"At least {least:g}."
    if parameter.default is not None and parameter.default is not False:
        yield f"Default: `{parameter.default}`."


def _marked_up(text: str) -> str:
    """Help as Markdown: nothing of it is markup but quotations, options and lists of names."""
    pieces = []
    for piece in re.split(r"('[^' ][^']*'(?!\w)|(?<![\w-])--?[a-z][\w-]*)", text):
        is_code = piece.startswith(("'", "-")) and len(piece) > 1
        pieces.append(f"`{piece.strip(chr(39))}`" if is_code else _escaped(piece))
    return _with_links("".join(pieces))


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*<\[\]{$|])", r"\\\1", text)


def _with_links(text: str) -> str:
    for package, listed in _LISTS.items():
        for separator in "_- ":
            names = Registry(package, kind="", attribute="", separator=separator).names()
            for between in (", ", " or "):
                if len(names) > 1:
                    text = text.replace(between.join(names), listed)
    return text


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
