"""Parquet tables as a folder of parts, each of which appears whole."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, groupby
from pathlib import Path
from typing import Any

from edge_ood.artifact.contract import columns
from edge_ood.artifact.outputs import Row
from edge_ood.errors import MissingDependencyError
from edge_ood.files.output import replacing
from edge_ood.files.regular import open_regular
from edge_ood.files.temporary import is_unfinished
from edge_ood.tables.formats import SavedRow, archive_of_path, cells_of

__all__ = ["ParquetTable", "is_part"]

_ROWS_PER_PART = 8192
_PART = re.compile(r"part-[0-9]{5,}\.parquet")
_OF_EVERY_ROW = ["path", "status", "is_ood"]


def is_part(name: str) -> bool:
    """Whether a file of this name is a part of a Parquet table."""
    return _PART.fullmatch(name) is not None


class ParquetTable:
    """A table as `part-00000.parquet`, `part-00001.parquet`, ... in a folder.

    Each part but the last has the same number of rows, so that the files do not depend on where a
    run was interrupted. The last part is written anew, under another name at first, each time that
    rows are saved.

    Args:
        path: The folder.
        heads: Score heads, in the artefact's order.

    Attributes:
        saved_rows: Rows that the parts hold, not counting those that wait to be written.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
    """

    def __init__(self, path: Path, heads: Sequence[str]) -> None:
        self.path = path
        self.saved_rows = 0
        self._arrow, self._parquet = _pyarrow()
        self._names = columns(heads)
        fields = [(name, _arrow_type(name, self._arrow)) for name in self._names]
        self._schema = self._arrow.schema(fields)
        self._part = self._count = 0
        self._waiting: list[Any] = []  # tables
        self._rows: list[dict[str, Any]] = []
        self._has_news = False

    def make(self) -> None:
        """Make the folder, without a row."""
        self.path.mkdir()

    def saved(self) -> Iterator[SavedRow]:
        """The rows in the parts, up to the first part that is missing or damaged."""
        for table in self._tables(self._names):
            # The other columns are seldom asked for, and to convert them takes most of the time.
            for index, row in enumerate(table.select(_OF_EVERY_ROW).to_pylist()):
                cells = _Cells(table, index)
                yield SavedRow(row["path"], row["status"], bool(row["is_ood"]), cells)

    def blocks(self, size: int) -> Iterator[Any]:
        """The same as Arrow tables of `size` rows."""
        rest = self._schema.empty_table()
        for table in self._tables(self._names):
            rest = self._arrow.concat_tables([rest, table])
            whole = len(rest) - len(rest) % size
            yield from (rest.slice(start, size) for start in range(0, whole, size))
            rest = rest.slice(whole)
        if len(rest):
            yield rest

    def archive_blocks(self, size: int) -> Iterator[tuple[str, Any]]:
        """The same, with the archive that the rows of a block are of."""
        for block in self.blocks(size):
            archives = [archive_of_path(path) for path in block["path"].to_pylist()]
            start = 0
            for archive, rows in groupby(archives):
                length = len(list(rows))
                yield archive, block.slice(start, length)
                start += length

    def cut(self, rows: int) -> None:
        """Keep the first rows, of those that `saved` gives, and go on behind them."""
        self._part, rest = divmod(rows, _ROWS_PER_PART)
        part = self._read(self._part, self._names) if rest else self._schema.empty_table()
        self._waiting = [part.slice(0, rest)]
        self._count = rest
        self.saved_rows = rows
        # A table without rows has one part, for its columns.
        self._has_news = rest > 0 or rows == 0
        kept = self._part + (rest > 0)
        # The last first: a beginning is left if this is interrupted.
        for part in sorted(self.path.iterdir(), reverse=True):
            if is_unfinished(part.name) or part.name >= _part_name(kept):
                part.unlink()

    def write(self, row: Row) -> None:
        """Add a row; it may wait for others before it is written."""
        self._rows.append(cells_of(row, self._names))
        self._added(1)

    def append(self, block: Any) -> None:
        """Add rows of another table's `blocks`."""
        while len(block):
            fitting = block.slice(0, _ROWS_PER_PART - self._count)
            self._waiting.append(fitting)
            self._added(len(fitting))
            block = block.slice(len(fitting))

    def save(self) -> None:
        """Write all rows out, so that they outlive a power cut."""
        if not self._has_news:
            return
        rows = self._arrow.Table.from_pylist(self._rows, schema=self._schema)
        table = self._arrow.concat_tables([*self._waiting, rows]).combine_chunks()
        # In memory first, because Arrow words a full disk in its own way.
        content = self._arrow.BufferOutputStream()
        self._parquet.write_table(table, content)
        with replacing(self.path / _part_name(self._part)) as temporary:
            temporary.write_bytes(content.getvalue())
        self._waiting, self._rows, self._has_news = [table], [], False
        self.saved_rows = self._part * _ROWS_PER_PART + len(table)

    def close(self) -> None:
        """Parts are whole at any time."""

    def _added(self, rows: int) -> None:
        self._count += rows
        self._has_news = True
        if self._count == _ROWS_PER_PART:
            self.save()
            self._part, self._waiting, self._count = self._part + 1, [], 0

    def _tables(self, names: Sequence[str]) -> Iterator[Any]:
        for index in count():
            table = self._read(index, names)
            if table is None:
                return
            yield table
            if len(table) != _ROWS_PER_PART:
                return

    def _read(self, index: int, names: Sequence[str]) -> Any:
        """Columns of a part as an Arrow table; None if there is no whole part of this table."""
        path = self.path / _part_name(index)
        try:
            # Not `read_table`, which takes names of folders such as `run=3` for columns.
            with open_regular(path) as file, self._parquet.ParquetFile(file) as part:
                is_ours = part.schema_arrow.equals(self._schema)
                return part.read(columns=list(names)) if is_ours else None
        except (OSError, self._arrow.ArrowException):
            return None


class _Cells(Mapping[str, Any]):
    """A row of an Arrow table; a cell is made a Python object when it is asked for."""

    def __init__(self, table: Any, row: int) -> None:
        self._table, self._row = table, row

    def __getitem__(self, name: str) -> Any:
        return self._table[name][self._row].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_columns)


def _part_name(index: int) -> str:
    return f"part-{index:05}.parquet"


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415  # optional
        import pyarrow.parquet  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("writing Parquet", "pyarrow", "parquet") from error
    return pyarrow, pyarrow.parquet


def _arrow_type(name: str, arrow: Any) -> Any:
    if name in ("path", "status", "error", "label"):
        return arrow.string()
    if name == "label_index":
        return arrow.int64()
    return arrow.bool_() if name.endswith("is_ood") else arrow.float32()
