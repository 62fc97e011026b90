"""Fields of a JSON document as text of a page, each with the place that it comes from."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edge_ood.files.text import printable
from edge_ood.report import numbers

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Fields"]

_SHORT_HASH = 12
_TAIL = 2
"""Parts of a path that are shown where there is little room: folder and file."""


Place = str | int | Sequence[str | int]
"""A part of a path, or several."""


class Fields:
    """What a page says of a document: `fields("percent", "models", 0, "id", "accuracy")`.

    Each field stands in an element that names it (`data-key`, a JSON pointer, RFC 6901) and how
    it is written (`data-as`), so that every number on a page can be held against the document.

    Args:
        document: Plain values as in JSON, None for NaN.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def __call__(self, kind: str, *place: Place) -> "Markup":
        """The field at a path, in the way that `kind` names; the field's own name for `name`."""
        from markupsafe import Markup  # noqa: PLC0415  # an extra

        path = _path(place)
        value = path[-1] if kind == "name" else self.value(path)
        text = printable(_KINDS[kind](value))
        element = '<span data-key="{}" data-as="{}">{}</span>'
        return Markup(element).format(_pointer(path), kind, text)

    def has(self, *place: Place) -> bool:
        """Whether the document has a number, or an interval with two, at a path."""
        value: Any = self._document
        for part in _path(place):
            if isinstance(value, Mapping) and part not in value:
                return False
            value = value[part]
        return None not in value.values() if isinstance(value, Mapping) else value is not None

    def value(self, *place: Place) -> Any:
        """What the document has at a path."""
        value: Any = self._document
        for part in _path(place):
            value = value[part]
        return value


def _tail(path: str) -> str:
    return "/".join(path.rsplit("/", _TAIL)[-_TAIL:])


def _path(place: Iterable[Place]) -> tuple[str | int, ...]:
    parts = ((part,) if isinstance(part, str | int) else part for part in place)
    return tuple(chain.from_iterable(parts))


def _pointer(path: Iterable[str | int]) -> str:
    """A JSON pointer as a URI fragment (RFC 6901, section 6): plain text whatever the names."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "#" + "".join(f"/{quote(part, safe='~', errors='surrogateescape')}" for part in parts)


def _or_nan(shown: Callable[[float], str]) -> Callable[[float | None], str]:
    return lambda value: shown(math.nan if value is None else value)


def _complement(rate: float) -> str:
    return numbers.percent(1 - rate)


def _range(interval: Mapping[str, float]) -> str:
    return numbers.percent_range(interval["low"], interval["high"])


_KINDS: dict[str, Callable[[Any], str]] = {
    "complement": _or_nan(_complement),
    "count": numbers.count,
    "duration": _or_nan(numbers.duration),
    "hash": lambda digits: digits[:_SHORT_HASH],
    "interval": _range,
    "megabytes": numbers.megabytes,
    "name": str,
    "number": _or_nan(numbers.number),
    "percent": _or_nan(numbers.percent),
    "pvalue": _or_nan(numbers.pvalue),
    "rounded": _or_nan(numbers.rounded),
    "tail": _tail,
    "text": str,
    "whole": _or_nan(numbers.whole),
}
"""How a value of the document is written, by the name of the way."""
