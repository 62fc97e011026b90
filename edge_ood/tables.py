r"""Score tables: CSV, JSON Lines and Parquet, one row per input file.

Column names and their order are a public contract: `path, status, error, label, label_index,
is_ood, pvalue, <head>, <head>_pvalue, <head>_is_ood, ...`. No CSV cell can become a spreadsheet
formula: `path` is absolute or begins with `./` or `../`, and class names that begin like a
formula get a leading `'`. Bytes of a name outside UTF-8 stand as `\xNN`. What has no value is an
empty cell in CSV and null elsewhere; a NaN score is `nan` in CSV, NaN in Parquet and null in JSON.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from edge_ood.errors import InputError, MissingDependencyError
from edge_ood.output import atomic_output
from edge_ood.results import Row, columns
from edge_ood.text import valid_text

__all__ = ["FORMATS", "format_of", "open_table", "shown_path", "write_to"]

FORMATS = {"csv": (".csv",), "jsonl": (".jsonl", ".ndjson"), "parquet": (".parquet",)}
"""Table formats by the file name endings that choose them."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the start of a formula, the full-width forms included."""

_QUOTED = set(',"\r\n')
_ROWS_PER_GROUP = 8192

WriteRow = Callable[[Row], Any]


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


def shown_path(path: Path) -> str:
    """A path as it stands in a table: absolute or relative to here, and always valid UTF-8."""
    text = valid_text(str(path))
    return text if path.is_absolute() or text.startswith("../") else f"./{text}"


@contextmanager
def open_table(path: Path, table_format: str, heads: Sequence[str]) -> Iterator[WriteRow]:
    """Write a table to a file that appears, whole, when the block ends without an error.

    Args:
        path: The file; replaced if it exists.
        table_format: A key of `FORMATS`.
        heads: Score heads, in the artefact's order.

    Raises:
        DataError: If the disk is full or the folder cannot be written.
        MissingDependencyError: If Parquet needs a library that is not installed.
    """
    with atomic_output(path) as temporary:
        if table_format == "parquet":
            with _parquet_writer(temporary, columns(heads)) as write:
                yield write
        else:
            with temporary.open("w", encoding="utf-8", newline="") as stream:
                yield write_to(stream, table_format, heads)


def write_to(stream: IO[str], table_format: str, heads: Sequence[str]) -> WriteRow:
    """A function that writes rows as CSV or JSON Lines to an open text stream."""
    names = columns(heads)
    if table_format == "jsonl":
        return lambda row: stream.write(_json_line(_cells(row, names)))
    stream.write(_csv_line(names))
    return lambda row: stream.write(_csv_line(map(_csv_cell, names, _cells(row, names).values())))


def _cells(row: Row, names: Sequence[str]) -> dict[str, Any]:
    fixed = {
        "path": shown_path(row.path),
        "status": row.status,
        "error": valid_text(row.error) or None,
    }
    return {name: fixed[name] if name in fixed else row.values.get(name) for name in names}


def _csv_line(cells: Iterable[str]) -> str:
    # Not the csv module: before Python 3.13 it leaves a lone carriage return unquoted, and a file
    # name with one would end the row there.
    escaped = (cell.replace('"', '""') for cell in cells)
    return ",".join(f'"{cell}"' if _QUOTED & set(cell) else cell for cell in escaped) + "\n"


def _csv_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if name in ("label", "error") and text.startswith(_FORMULA_STARTS) else text


def _json_line(cells: Mapping[str, Any]) -> str:
    values = {name: _json_value(value) for name, value in cells.items()}
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"


def _json_value(value: Any) -> Any:
    """JSON has no NaN; a float32 is written with the digits that identify it, not float64's."""
    if not isinstance(value, np.floating):
        return value
    return float(str(value)) if math.isfinite(value) else None


@contextmanager
def _parquet_writer(path: Path, names: Sequence[str]) -> Iterator[WriteRow]:
    try:
        import pyarrow as pa  # noqa: PLC0415  # optional
        import pyarrow.parquet as pq  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("writing Parquet", "pyarrow", "parquet") from error
    schema = pa.schema([(name, _arrow_type(name, pa)) for name in names])
    waiting: list[Mapping[str, Any]] = []

    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        def write(row: Row) -> None:
            waiting.append(_cells(row, names))
            if len(waiting) >= _ROWS_PER_GROUP:
                flush()

        yield write
        flush()


def _arrow_type(name: str, pa: Any) -> Any:
    if name in ("path", "status", "error", "label"):
        return pa.string()
    if name == "label_index":
        return pa.int64()
    return pa.bool_() if name.endswith("is_ood") else pa.float32()
