"""The keys of a JSON document that is made of dataclasses, written into its page when it is built.

A page says `<!-- document: edge_ood.evaluation.evaluation Evaluation -->`, and that dataclass, and
every other that is found in its fields, becomes a section: a table of keys and values.
"""

import dataclasses
import importlib
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from docstrings import described

_MARK = re.compile(r"^<!-- document: ([\w.]+) (\w+) -->$", re.MULTILINE)
_SOURCE = "\n\nSource: "
_PLAIN = {str: "text", int: "integer", float: "number", bool: "boolean"}


def write_document(module: str, name: str) -> str:
    """Sections in Markdown: a dataclass, then those that its fields hold, as they are met."""
    first = getattr(importlib.import_module(module), name)
    return "\n\n".join(map(_section, _reached(first)))


def setup(app: Any) -> dict[str, bool]:
    """Fill the marks of a page when it is read."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app: Any, page: str, source: list[str]) -> None:
    source[0] = _MARK.sub(lambda mark: write_document(mark[1], mark[2]), source[0])


def _reached(first: type) -> list[type]:
    """Every dataclass below one, each once and the nearest first."""
    found = [first]
    for kind in found:
        for annotation in get_type_hints(kind).values():
            found += [inner for inner in _dataclasses(annotation) if inner not in found]
    return found


def _dataclasses(annotation: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from _dataclasses(part)


def _section(kind: type) -> str:
    text, _, attributes = (inspect.getdoc(kind) or "").partition("Attributes:")
    descriptions = described(attributes.partition(_SOURCE)[0])
    hints = get_type_hints(kind)
    values = {name: [_named(hints[name])] for name in hints}
    for name, description in descriptions.items():
        values[name].append(_cell(description))
    rows = [f"| `{f.name}` | {': '.join(values[f.name])} |" for f in dataclasses.fields(kind)]
    table = ["| key | value |", "| --- | --- |", *rows]
    return "\n".join([f"### {kind.__name__}\n", text.strip(), "", *table])


def _named(annotation: Any) -> str:
    """A type as JSON has it, with a link where it is a section of its own."""
    parts = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return f"{_named(parts[0])}, or null"
    if origin is tuple:
        return f"list of {_named(parts[0])}"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return f"object of {_named(parts[-1])}"
    return _PLAIN.get(annotation) or f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def _cell(text: str) -> str:
    """Text of a docstring in a table: nothing is markup there but code between backticks."""
    pieces = re.split(r"(`[^`]*`)", text)
    pieces[::2] = [re.sub(r"([\\*<{$])", r"\\\1", piece) for piece in pieces[::2]]
    return "".join(pieces).replace("|", r"\|")
