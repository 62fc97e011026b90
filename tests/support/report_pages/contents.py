"""What a page says, held against the document that it is a function of."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

from report_pages.html import VOID

FIELD_KINDS = {
    "complement": lambda rate: f"{100 * (1 - rate):.1f}%",
    "count": lambda n: f"{n:,}",
    "duration": lambda seconds: spelled(round(seconds)) if seconds >= 60 else f"{seconds:.1f} s",
    "hash": lambda digits: digits[:12],
    "interval": lambda ends: f"{100 * ends['low']:.1f} to {100 * ends['high']:.1f}%",
    "megabytes": lambda n: f"{n / 1e6:.2f} MB",
    "number": lambda value: f"{value:.4g}",
    "percent": lambda rate: f"{100 * rate:.1f}%",
    "pvalue": lambda value: f"{value:.4f}",
    "rounded": lambda value: f"{value:.0f}" if value >= 9.95 else f"{value:.1f}",
    "tail": lambda path: "/".join(path.split("/")[-2:]),
    "text": str,
    "whole": lambda rate: f"{100 * rate:.0f}%",
}
"""How each kind of number is written, said again here."""


def spelled(seconds: int) -> str:
    """A time of a minute or more, in its two largest units."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


class Contents(HTMLParser):
    """What a page says: its fields, and all other text but that of figures.

    Attributes:
        fields: Pointer, kind and text of every field.
        bare: Text outside fields, figures and styles.
        numbers: The same, of cells of tables and of key numbers alone.
        tables: By caption, the rows of texts, fields included.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str, str]] = []
        self.bare: list[str] = []
        self.numbers: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._caption = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember where we are."""
        if tag == "br":
            self.handle_data(" ")
        if tag in VOID:
            return
        self._open.append((tag, dict(attrs)))
        if "data-key" in dict(attrs):
            values = dict(attrs)
            self.fields.append((values["data-key"] or "", values["data-as"] or "", ""))
        if tag == "table":
            self._caption = ""
        if tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        if tag in ("th", "td"):
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._open.pop()

    def handle_data(self, text: str) -> None:
        """Put a text where it belongs."""
        tags = [tag for tag, _ in self._open]
        if {"svg", "style"} & set(tags):
            return
        if "caption" in tags:
            self._caption += text
        in_cell = {"th", "td"} & set(tags)
        if in_cell:
            self.tables[self._caption][-1][-1] += text
        if any("data-key" in attributes for _, attributes in self._open):
            pointer, kind, shown = self.fields[-1]
            self.fields[-1] = pointer, kind, shown + text
            return
        self.bare.append(text)
        if in_cell or ("class", "key-numbers") in [
            item for _, attributes in self._open for item in attributes.items()
        ]:
            self.numbers.append(text)


def resolved(document: Any, pointer: str) -> Any:
    """The value that a JSON pointer names (RFC 6901)."""
    for part in pointer.removeprefix("#").split("/")[1:]:
        name = unquote(part, errors="surrogateescape").replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def written(document: Any, pointer: str, kind: str) -> str:
    """How a page has to write a field; a NaN is null in a document."""
    value = resolved(document, pointer)
    if kind == "name":
        return unquote(pointer.rsplit("/", 1)[1]).replace("~1", "/").replace("~0", "~")
    return "n/a" if value is None else FIELD_KINDS[kind](value)


def wrong_fields(html: str, document: Any) -> list[tuple[str, str]]:
    """The fields of a page, with pointers, that are not what the document says there."""
    fields = Contents(html).fields
    return [(p, shown) for p, kind, shown in fields if shown != written(document, p, kind)]
