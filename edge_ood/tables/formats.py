r"""Score tables: CSV, JSON Lines and Parquet, one row per input file.

Column names and their order are a public contract: `path, status, error, label, label_index,
is_ood, pvalue, <head>, <head>_pvalue, <head>_is_ood, ...`. No CSV cell can become a spreadsheet
formula: `path` is absolute or begins with `./` or `../`, and class names that begin like a
formula get a leading `'`. Bytes of a name outside UTF-8 stand as `\xNN`, and so does a NUL of a
class name in CSV. What has no value is an empty cell in CSV and null elsewhere; a NaN score is
`nan` in CSV, NaN in Parquet and null in JSON.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from edge_ood.artifact.contract import columns
from edge_ood.artifact.outputs import Row
from edge_ood.errors import InputError
from edge_ood.files.paths import shown_path
from edge_ood.files.text import valid_text, without_formula

__all__ = [
    "FORMATS",
    "SavedRow",
    "TextFormat",
    "archive_of_path",
    "cells_of",
    "format_of",
    "text_format",
    "write_to",
]

FORMATS = {"csv": (".csv",), "jsonl": (".jsonl", ".ndjson"), "parquet": (".parquet",)}
"""Table formats by the file name endings that choose them."""


_MEMBER = re.compile(r"(\.tar)!.*|(\.\w+)#[0-9]+(?:@[0-9.]+s)?$", re.IGNORECASE | re.DOTALL)
_QUOTED = set(',"\r\n')

WriteRow = Callable[[Row], Any]


@dataclass(frozen=True)
class SavedRow:
    """What a row of a table says about one file.

    Attributes:
        path: As `shown_path` wrote it; `path_of` finds the file.
        status: As in `Row`.
        is_ood: Whether the image was flagged.
        cells: All columns as they stand in the table, as text or as its own types.
    """

    path: str
    status: str
    is_ood: bool
    cells: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def number(self, column: str) -> float:
        """A score, p-value or index, rounded to float32 as it was; NaN where there is none."""
        try:
            return float(np.float32(self.cells[column]))
        except (TypeError, ValueError):  # null, and an empty cell
            return math.nan


@dataclass(frozen=True)
class TextFormat:
    """How a table is written as text, and read back.

    Attributes:
        header: What the file begins with.
        line: A row as text, with its line end.
        is_whole: Whether bytes that end with a line end are a whole record, not a part of one.
        parse: What a whole record says; None if it is no row of such a table.
    """

    header: str
    line: Callable[[Row], str]
    is_whole: Callable[[bytes], bool]
    parse: Callable[[str], SavedRow | None]


def archive_of_path(path: str) -> str:
    """The archive of a row's image, from its path as it stands; the path itself where it is one."""
    return _MEMBER.sub(r"\1\2", path, count=1)


def format_of(path: Path | None, chosen: str | None) -> str:
    """The format that `--format` names, or else the file's ending; JSON Lines without a file.

    Raises:
        InputError: If neither is a known format, or the format needs a file.
    """
    if chosen is not None and chosen not in FORMATS:
        raise InputError(f"unknown format {chosen!r}", hint=f"one of {', '.join(FORMATS)}")
    if path is None and chosen == "parquet":
        raise InputError("Parquet needs a file to write", hint="pass -o scores.parquet")
    if path is None or chosen is not None:
        return chosen or "jsonl"
    for name, endings in FORMATS.items():
        if path.suffix.lower() in endings:
            return name
    raise InputError(
        f"cannot tell the format of '{path}' from its ending",
        hint="end it in .csv, .jsonl or .parquet, or pass --format",
    )


def write_to(stream: IO[str], table_format: str, heads: Sequence[str]) -> WriteRow:
    """A function that writes rows as CSV or JSON Lines to an open text stream."""
    text = text_format(table_format, heads)
    stream.write(text.header)
    return lambda row: stream.write(text.line(row))


def text_format(table_format: str, heads: Sequence[str]) -> TextFormat:
    """CSV or JSON Lines, for tables with these score heads."""
    names = columns(heads)
    if table_format == "jsonl":
        # JSON writes a line break as two letters.
        return TextFormat("", partial(_json_line, names), bool, partial(_parse_json, names))
    header = _joined(names)
    return TextFormat(header, partial(_csv_line, names), _is_whole_csv, partial(_parse_csv, names))


def cells_of(row: Row, names: Sequence[str]) -> dict[str, Any]:
    """A row's values by column, None where there is none."""
    fixed = {
        "path": shown_path(row.path),
        "status": row.status,
        "error": valid_text(row.error) or None,
    }
    return {name: fixed[name] if name in fixed else row.values.get(name) for name in names}


def _csv_line(names: Sequence[str], row: Row) -> str:
    return _joined(_csv_cell(name, value) for name, value in cells_of(row, names).items())


def _joined(cells: Iterable[str]) -> str:
    # Not the csv module: before Python 3.13 it leaves a lone carriage return unquoted, and a file
    # name with one would end the row there.
    escaped = (cell.replace('"', '""') for cell in cells)
    return ",".join(f'"{cell}"' if _QUOTED & set(cell) else cell for cell in escaped) + "\n"


def _csv_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    # Where a power cut takes a record, NULs stand; so none may be in a whole one.
    text = str(value).replace("\0", r"\x00")
    return without_formula(text) if name in ("label", "error") else text


def _is_whole_csv(record: bytes) -> bool:
    """A line end within quotes belongs to a cell, and a quote within a cell is doubled."""
    return record.count(b'"') % 2 == 0


def _parse_csv(names: Sequence[str], record: str) -> SavedRow | None:
    try:
        (cells,) = csv.reader([record], strict=True)
    except (csv.Error, ValueError):
        return None
    by_name = dict(zip(names, cells, strict=False))
    if len(cells) != len(names) or "\0" in record:
        return None
    return SavedRow(by_name["path"], by_name["status"], by_name["is_ood"] == "true", by_name)


def _json_line(names: Sequence[str], row: Row) -> str:
    values = {name: _json_value(value) for name, value in cells_of(row, names).items()}
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"


def _json_value(value: Any) -> Any:
    """JSON has no NaN; a float32 is written with the digits that identify it, not float64's."""
    if not isinstance(value, np.floating):
        return value
    return float(str(value)) if math.isfinite(value) else None


def _parse_json(names: Sequence[str], record: str) -> SavedRow | None:
    try:
        cells = json.loads(record)
    except (ValueError, RecursionError):
        return None
    if not isinstance(cells, dict) or list(cells) != list(names):
        return None
    path, status = cells["path"], cells["status"]
    if not isinstance(path, str) or not isinstance(status, str):
        return None
    return SavedRow(path, status, cells["is_ood"] is True, cells)
