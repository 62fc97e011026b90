"""CSV and JSON Lines files that grow row by row and can be cut after any whole row."""

import os
from collections.abc import Iterator, Sequence
from io import FileIO
from itertools import groupby, islice
from pathlib import Path

from edge_ood.artifact.outputs import Row
from edge_ood.files.regular import open_regular
from edge_ood.tables.formats import SavedRow, archive_of_path, text_format
from edge_ood.threads import batched

__all__ = ["TextTable"]

_LONGEST_RECORD = 2**20
"""Bytes; a path has at most 4096, and an error names it."""

_WAITING_BYTES = 2**16


class TextTable:
    """A table as one file of text.

    Killed at any instant, the file is a beginning of the whole one: rows, and perhaps a part of
    one more. Every other way of stopping leaves whole rows.

    Args:
        path: The file.
        table_format: `csv` or `jsonl`.
        heads: Score heads, in the artefact's order.

    Attributes:
        saved_rows: Rows that the file holds, not counting those that wait to be written.
    """

    def __init__(self, path: Path, table_format: str, heads: Sequence[str]) -> None:
        self.path = path
        self.saved_rows = 0
        self._text = text_format(table_format, heads)
        self._header = self._text.header.encode()
        self._waiting = bytearray()
        self._waiting_rows = 0
        self._whole_bytes = 0
        self._file: FileIO | None = None

    def make(self) -> None:
        """Make the file, without a row."""
        self.path.write_bytes(self._header)

    def saved(self) -> Iterator[SavedRow]:
        """The rows in the file, up to the first that is not whole."""
        return (row for _, row in self._records())

    def blocks(self, size: int) -> Iterator[list[bytes]]:
        """The same, as they stand in the file, `size` rows at a time."""
        records = (record for record, _ in self._records())
        yield from batched(records, size)

    def archive_blocks(self, size: int) -> Iterator[tuple[str, list[bytes]]]:
        """The same, with the archive that the rows of a block are of."""
        for archive, rows in groupby(self._records(), key=_archive):
            for block in batched((record for record, _ in rows), size):
                yield archive, block

    def cut(self, rows: int) -> None:
        """Keep the first rows, of those that `saved` gives, and go on behind them."""
        kept = sum(map(len, islice(self._whole_records(), rows)))
        self.saved_rows = rows
        self._whole_bytes = len(self._header) + kept
        self._file = FileIO(self.path, "r+")
        self._file.write(self._header)
        self._back_to_whole_rows(self._file)

    def write(self, row: Row) -> None:
        """Add a row; it may wait for others before it is written."""
        self.append([self._text.line(row).encode()])

    def append(self, block: list[bytes]) -> None:
        """Add rows of another table's `blocks`."""
        for record in block:
            self._waiting += record
        self._waiting_rows += len(block)
        if len(self._waiting) >= _WAITING_BYTES:
            self._drain()

    def save(self) -> None:
        """Write all rows out, so that they outlive a power cut."""
        if self._file is not None:
            self._drain()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Leave the rows that were saved, whatever a later write came to, and close the file."""
        if self._file is not None:
            with self._file as file:
                self._back_to_whole_rows(file)
            self._file = None

    def _drain(self) -> None:
        assert self._file is not None
        waiting, rows = self._waiting, self._waiting_rows
        # What fails or is interrupted half-way must not be written again behind its part.
        self._waiting, self._waiting_rows = bytearray(), 0
        left = memoryview(waiting)
        while left:
            left = left[_write(self._file, left) :]
        self._whole_bytes += len(waiting)
        self.saved_rows += rows

    def _back_to_whole_rows(self, file: FileIO) -> None:
        file.truncate(self._whole_bytes)
        file.seek(self._whole_bytes)

    def _records(self) -> Iterator[tuple[bytes, SavedRow]]:
        for record in self._whole_records():
            row = self._parse(record)
            if row is None:
                return
            yield record, row

    def _whole_records(self) -> Iterator[bytes]:
        with open_regular(self.path) as stream:
            if stream.read(len(self._header)) != self._header:
                return
            record = b""
            while line := stream.readline(_LONGEST_RECORD):
                record += line
                if not line.endswith(b"\n") or len(record) > _LONGEST_RECORD:
                    return
                if self._text.is_whole(record):
                    yield record
                    record = b""

    def _parse(self, record: bytes) -> SavedRow | None:
        try:
            return self._text.parse(record.decode())
        except UnicodeDecodeError:
            return None


def _archive(record: tuple[bytes, SavedRow]) -> str:
    return archive_of_path(record[1].path)


def _write(file: FileIO, content: memoryview) -> int:
    """As much of the content as one call takes; returns how much that was."""
    return file.write(content)
