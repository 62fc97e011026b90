"""Rows as a table of HTML, such as notebooks show; names in it may be anything."""

from collections.abc import Collection, Sequence
from html import escape

from edge_ood.files.text import printable

__all__ = ["html_lines", "html_table"]

_CELL = '<{tag} style="text-align: {side}">{text}</{tag}>'


def html_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: int = 1,
    marked: Collection[int] = (),
    title: str = "",
    notes: Sequence[str] = (),
) -> str:
    """A table with a title above it and notes below, where there are any; all text is escaped.

    Args:
        headings: One per column.
        rows: As many cells each as there are headings.
        left: How many columns are aligned on the left, the others on the right.
        marked: Positions of rows in bold.
        title: A line above the table.
        notes: Lines below it.

    Returns:
        One element, of the class that notebooks style as a data frame.
    """
    head = _row("th", headings, left, is_bold=False)
    body = (_row("td", row, left, is_bold=i in marked) for i, row in enumerate(rows))
    above = f"<p><b>{_text(title)}</b></p>" if title else ""
    below = html_lines(notes) if notes else ""
    table = f"<thead>{head}</thead><tbody>{''.join(body)}</tbody>"
    return f'<div>{above}<table border="1" class="dataframe">{table}</table>{below}</div>'


def html_lines(lines: Sequence[str]) -> str:
    """Lines of text below each other, escaped."""
    return f"<p>{'<br>'.join(map(_text, lines))}</p>"


def _row(tag: str, cells: Sequence[str], left: int, *, is_bold: bool) -> str:
    return f"<tr>{''.join(_cell(tag, c, i < left, is_bold) for i, c in enumerate(cells))}</tr>"


def _cell(tag: str, cell: str, is_left: bool, is_bold: bool) -> str:
    text = f"<b>{_text(cell)}</b>" if is_bold else _text(cell)
    return _CELL.format(tag=tag, side="left" if is_left else "right", text=text)


def _text(text: str) -> str:
    return escape(printable(text))
