"""JSON: untrusted documents are read field by field, and what we write has finite numbers alone.

Fields are taken out by name and type, and damage is an `InputError`.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from edge_ood.errors import ArtifactError, InputError
from edge_ood.files.regular import read_regular

__all__ = ["Document", "newer_format", "parse_json", "plain_values", "read_document"]

_DEEPEST = 32
"""Levels of nesting; what we write has five, and more could exhaust the stack later on."""

_LONGEST_NUMBER_SHOWN = 20

_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc|\.dev|\.post)\d+)?")

_T = TypeVar("_T")


class Document:
    """A JSON object whose fields are taken out by type.

    Raises:
        InputError: If the value is no object.
    """

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise InputError(f"expected an object, got {type(value).__name__}")
        self._fields: dict[str, Any] = value

    @classmethod
    def parse(cls, text: str) -> "Document":
        """Read a JSON object with finite numbers, valid Unicode and moderate nesting.

        Raises:
            InputError: If the text is anything else.
        """
        value = parse_json(text)
        _check_texts(value)
        return cls(value)

    def get(self, name: str, kind: type[_T], default: _T | None = None) -> _T:
        """The field as a `dict`, `list`, `str`, `bool`, `int` or `float`; an int is a float, too.

        Raises:
            InputError: If it has another type, or is missing and there is no default.
        """
        value = self._fields.get(name, default)
        if kind is float and type(value) is int:
            value = float(value)
        # Exact types, because True is an int.
        if type(value) is not kind:
            got = type(value).__name__ if name in self._fields else "nothing"
            raise InputError(f"{name!r} should be a {kind.__name__}, got {got}")
        return value

    def optional(self, name: str, kind: type[_T]) -> _T | None:
        """As `get`, but None where the field is null or missing."""
        return None if self._fields.get(name) is None else self.get(name, kind)

    def document(self, name: str) -> "Document":
        """The field as a document."""
        return Document(self.get(name, dict))

    def documents(self, name: str) -> "list[Document]":
        """The field as a list of documents."""
        return [Document(item) for item in self.get(name, list)]

    def each(self, name: str, kind: type[_T], default: list[_T] | None = None) -> list[_T]:
        """The field as a list of values of one type."""
        listed = self.get(name, list, default)
        items = Document({f"{name}[{i}]": v for i, v in enumerate(listed)})
        return list(items.mapped(kind).values())

    def mapping(self, name: str, kind: type[_T]) -> dict[str, _T]:
        """The field as an object with values of one type."""
        return self.document(name).mapped(kind)

    def mapped(self, kind: type[_T]) -> dict[str, _T]:
        """All fields, which have one type."""
        return {name: self.get(name, kind) for name in self._fields}

    def inner(self) -> "dict[str, Document]":
        """All fields, which are documents."""
        return {name: Document(value) for name, value in self._fields.items()}


def parse_json(text: str | bytes) -> Any:
    """Read JSON with numbers that float64 has and moderate nesting; texts may be any.

    Raises:
        InputError: If the text is anything else.
    """
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise InputError(str(error)) from error
    for depth, _ in enumerate(_levels(value), start=1):
        if depth > _DEEPEST:
            raise InputError(f"nested more than {_DEEPEST} levels deep")
    return value


def plain_values(value: Any) -> Any:
    """A value as JSON has it: tuples are lists, and a number that is not finite is None."""
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_document(
    path: Path, interpret: Callable[[Document], _T], *, newest: int, hint: str
) -> _T | None:
    """What a file says that has a `format` number; None where there is no such file.

    Args:
        path: The file.
        interpret: Takes out what is wanted; an `InputError` of it means that the file is damaged.
        newest: The highest format that can be read.
        hint: What to do about a damaged file.

    Raises:
        ArtifactError: If the file cannot be read, is damaged or from a newer edge-ood.
    """
    try:
        document = Document.parse(read_regular(path).decode("utf-8"))
        number = document.get("format", int)
        if number > newest:
            raise newer_format(path, number, newest)
        return interpret(document)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactError(f"cannot read '{path}': {error.strerror}", hint=hint) from error
    except (InputError, UnicodeDecodeError) as error:
        raise ArtifactError(f"'{path}' is damaged: {error}", hint=hint) from error


def newer_format(
    source: str | Path, number: int, newest: int, *, version: str = ""
) -> ArtifactError:
    """The refusal of a file whose format a later edge-ood brought in.

    Args:
        source: The file.
        number: Its format.
        newest: The highest format that can be read.
        version: edge-ood that wrote it, as the file says, where it does.
    """
    # The version is untrusted, and the hint invites to paste it into a shell.
    requirement = f"'edge-ood>={version}'" if _VERSION.fullmatch(version) else "edge-ood"
    return ArtifactError(
        f"'{source}' has format {number}, this edge-ood reads up to {newest}",
        hint=f"pip install --upgrade {requirement}",
    )


def _finite(text: str) -> float:
    """`json` itself lets NaN through, and turns 1e999 into infinity."""
    number = float(text)
    if not math.isfinite(number):
        shown = text if len(text) <= _LONGEST_NUMBER_SHOWN else f"{text[:_LONGEST_NUMBER_SHOWN]}..."
        raise InputError(f"{shown} is not a finite number")
    return number


def _whole(text: str) -> int:
    """An integer that can be computed with as float64, too; Python's own has no limit."""
    _finite(text)
    return int(text)


def _levels(document: Any) -> Iterator[list[Any]]:
    """All values and keys of a document, those at one depth of nesting at a time."""
    level = [document]
    while level:
        yield level
        dicts = [item for item in level if isinstance(item, dict)]
        lists = [item for item in level if isinstance(item, list)]
        level = [part for item in dicts for pair in item.items() for part in pair]
        level += [part for item in lists for part in item]


def _check_texts(document: Any) -> None:
    """Refuse text that could not be written out again (lone surrogates)."""
    texts = (item for level in _levels(document) for item in level if isinstance(item, str))
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(str(error)) from error
