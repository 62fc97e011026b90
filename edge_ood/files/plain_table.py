"""Rows as a table: plain text for eyes, a data frame for pandas."""

import math
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from edge_ood.errors import MissingDependencyError
from edge_ood.files.text import printable

__all__ = ["WIDTH", "data_frame", "format_table"]

WIDTH: ContextVar[float] = ContextVar("WIDTH", default=math.inf)
"""Columns of letters that a table may have; whoever prints to a terminal sets it."""

_GAP = 2


def format_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Align cells in columns two spaces apart, the first on the left and the others on the right.

    Args:
        headings: One per column; a line break in one makes the heading taller.
        rows: As many cells each as there are headings; they are made printable.
        left: How many columns are aligned on the left.

    Returns:
        Lines without trailing spaces, joined by line breaks: headings, a rule, the rows. Columns
        beyond `WIDTH` stand in further tables below, each with those on the left again.
    """
    stacks = [list(map(printable, heading.split("\n"))) for heading in headings]
    height = max(len(stack) for stack in stacks)
    top = list(zip(*([""] * (height - len(stack)) + stack for stack in stacks), strict=True))
    shown = [list(map(printable, row)) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*top, *shown, strict=True)]
    rule = ["-" * width for width in widths]
    parts = [
        "\n".join(
            _line([cells[i] for i in columns], [widths[i] for i in columns], left)
            for cells in [*top, rule, *shown]
        )
        for columns in _fitting(widths, left)
    ]
    return "\n\n".join(parts)


def data_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> Any:
    """A `pandas.DataFrame` of rows by column name.

    Args:
        rows: Cells by column.
        columns: Names in their order, also where there is no row; None for those of the rows.

    Raises:
        MissingDependencyError: If pandas is not installed; nothing else needs it.
    """
    try:
        import pandas  # noqa: PLC0415  # optional and slow
    except ModuleNotFoundError as error:
        raise MissingDependencyError("a data frame", "pandas", "pandas") from error
    return pandas.DataFrame(list(rows), columns=columns)


def _fitting(widths: Sequence[int], left: int) -> list[list[int]]:
    """Which columns stand together; one of them at least beside those on the left."""
    limit, parts = WIDTH.get(), [list(range(left))]
    for column in range(left, len(widths)):
        together = [*parts[-1], column]
        taken = sum(widths[i] for i in together) + _GAP * (len(together) - 1)
        if taken > limit and len(parts[-1]) > left:
            parts.append([*range(left), column])
        else:
            parts[-1].append(column)
    return parts


def _line(cells: Sequence[str], widths: Sequence[int], left: int) -> str:
    padded = [
        cell.ljust(width) if i < left else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
