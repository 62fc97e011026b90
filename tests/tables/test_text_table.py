"""Text tables: any beginning of the file is enough to go on from."""

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ood.artifact.contract import columns
from edge_ood.artifact.outputs import Row
from edge_ood.files.paths import shown_path
from edge_ood.tables.formats import SavedRow
from edge_ood.tables.text_table import TextTable

FORMATS = ("csv", "jsonl")
HEADS = ("energy",)
COLUMNS = columns(HEADS)
ODD_NAMES = (
    b"plain.png",
    b'a"\n"b,"c"\r\n.png',
    b"lone\rreturn",
    "日本語\u2028🐕".encode(),
    b'",",\n',
    b"caf\xe9",
    b"\n",
    b'"',
    b"line\nbreak",
    b"\r",
    b"=1+1",
    b"\\n",
    b"",
)
NAMES = st.binary(max_size=12).map(lambda name: name.replace(b"\0", b"0"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
FLOATS = st.floats(width=32).map(np.float32)
VALUES = st.fixed_dictionaries(
    {
        "label": TEXTS,
        "label_index": st.integers(0, 2**40),
        "is_ood": st.booleans(),
        "pvalue": FLOATS,
        "energy": FLOATS,
        "energy_pvalue": FLOATS,
        "energy_is_ood": st.booleans(),
    }
)
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system keeps what it was given: there is no power cut here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def row(name: bytes, values: dict[str, Any] | None = None, status: str = "unreadable") -> Row:
    """A row of a file in this folder."""
    path = Path(os.fsdecode(name))
    error = "" if values else f"cannot read '{path}': gone"
    return Row(path, "ok" if values else status, error, values or {})


ROWS = st.lists(st.builds(row, NAMES, VALUES | st.none(), st.sampled_from(["unreadable", "gone"])))


def odd_rows() -> list[Row]:
    """A row of each odd name, some without scores."""
    values = {
        "label": 'blue\n"cat"',
        "label_index": 2,
        "is_ood": True,
        "pvalue": np.float32(0.1),
        "energy": np.float32(np.nan),
        "energy_pvalue": np.float32(1e-7),
        "energy_is_ood": True,
    }
    return [row(name, values if i % 3 else None) for i, name in enumerate(ODD_NAMES)]


def saved(rows: Sequence[Row]) -> list[SavedRow]:
    """What is to be read back."""
    return [SavedRow(shown_path(r.path), r.status, bool(r.values.get("is_ood"))) for r in rows]


def begin(path: Path, table_format: str) -> TextTable:
    """A new table, ready for its first row."""
    table = TextTable(path, table_format, HEADS)
    table.make()
    table.cut(0)
    return table


def write(path: Path, table_format: str, rows: Sequence[Row]) -> bytes:
    """A table of these rows; returns its bytes."""
    table = begin(path, table_format)
    for item in rows:
        table.write(item)
    table.save()
    table.close()
    return path.read_bytes()


def go_on(path: Path, table_format: str, rows: Sequence[Row]) -> tuple[list[SavedRow], bytes]:
    """Read the rows that are there, write the others; returns what was there, and all bytes."""
    table = TextTable(path, table_format, HEADS)
    found = list(table.saved())
    table.cut(len(found))
    for item in rows[len(found) :]:
        table.write(item)
    table.save()
    table.close()
    return found, path.read_bytes()


@QUICK
@given(rows=ROWS, table_format=st.sampled_from(FORMATS))
def test_any_row_is_read_back(tmp_path: Path, rows: list[Row], table_format: str) -> None:
    """Whatever bytes a name has and whatever the scores are."""
    write(tmp_path / "t", table_format, rows)

    assert saved(rows) == list(TextTable(tmp_path / "t", table_format, HEADS).saved())


@QUICK
@given(rows=ROWS)
def test_other_readers_read_the_same(tmp_path: Path, rows: list[Row]) -> None:
    """Python's csv and json modules find the path, status, error and scores of each row."""
    write(tmp_path / "t.csv", "csv", rows)
    write(tmp_path / "t.jsonl", "jsonl", rows)

    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as stream:
        from_csv = list(csv.DictReader(stream, strict=True))
    lines = (tmp_path / "t.jsonl").read_bytes().split(b"\n")[:-1]
    from_json = [json.loads(line) for line in lines]
    for item, text, document in zip(rows, from_csv, from_json, strict=True):
        assert COLUMNS == list(text) == list(document)
        assert shown_path(item.path) == text["path"] == document["path"]
        assert item.status == text["status"] == document["status"]
        if item.values:
            energy = item.values["energy"]
            np.testing.assert_equal(np.float32(text["energy"]), energy)
            assert document["energy"] is None or np.float32(document["energy"]) == energy
            assert np.isfinite(energy) == (document["energy"] is not None)


@pytest.mark.parametrize("table_format", FORMATS)
def test_after_a_cut_at_any_byte_nothing_is_lost_doubled_or_torn(
    tmp_path: Path, table_format: str
) -> None:
    """However much of the file a kill left, going on ends with the whole file's bytes."""
    rows = odd_rows()[:5]
    whole = write(tmp_path / "whole", table_format, rows)

    for size in range(len(whole) + 1):
        (tmp_path / "t").write_bytes(whole[:size])
        found, content = go_on(tmp_path / "t", table_format, rows)
        assert whole == content, size
        assert saved(rows)[: len(found)] == found, size
        assert size < len(whole) or len(rows) == len(found)


@pytest.mark.parametrize("table_format", FORMATS)
@pytest.mark.parametrize(
    "rubbish", [b"\0" * 5000, b"\n", b"x,y\n", b"{}\n", b"\xff\n", b'"' * 9, b"[" * 9**6]
)
def test_what_a_power_cut_leaves_is_cut_off(
    tmp_path: Path, table_format: str, rubbish: bytes
) -> None:
    """Zeros and rubbish behind the last whole row are no rows."""
    rows = odd_rows()
    whole = write(tmp_path / "whole", table_format, rows)

    (tmp_path / "t").write_bytes(write(tmp_path / "half", table_format, rows[:5]) + rubbish)
    found, content = go_on(tmp_path / "t", table_format, rows)

    assert 5 == len(found)
    assert whole == content


@pytest.mark.parametrize("table_format", FORMATS)
@pytest.mark.parametrize("kept", [5, 9])
def test_rows_behind_rubbish_are_scored_again(tmp_path: Path, table_format: str, kept: int) -> None:
    """A row that is zeroed out ends what can be kept, whether the next name is plain or quoted."""
    rows = odd_rows()
    parts = [write(tmp_path / "t", table_format, rows[:n]) for n in (kept, kept + 1, len(rows))]
    damaged = bytes(len(parts[1]) - len(parts[0]))

    (tmp_path / "t").write_bytes(parts[0] + damaged + parts[2][len(parts[1]) :])
    found, content = go_on(tmp_path / "t", table_format, rows)

    assert kept == len(found)
    assert parts[2] == content


@pytest.mark.parametrize("table_format", FORMATS)
@pytest.mark.parametrize("kept", [0, 1, 7])
def test_a_table_can_be_cut_after_any_row(tmp_path: Path, table_format: str, kept: int) -> None:
    """Fewer rows than are there may be kept."""
    rows = odd_rows()
    expected = write(tmp_path / "expected", table_format, rows[:kept])
    write(tmp_path / "t", table_format, rows)

    table = TextTable(tmp_path / "t", table_format, HEADS)
    table.cut(kept)
    table.save()
    table.close()

    assert expected == (tmp_path / "t").read_bytes()
    assert kept == table.saved_rows


@pytest.mark.parametrize("table_format", FORMATS)
def test_another_tables_header_is_no_beginning(tmp_path: Path, table_format: str) -> None:
    """Rows of other columns are not gone on with."""
    rows = odd_rows()
    whole = write(tmp_path / "whole", table_format, rows)
    other = TextTable(tmp_path / "t", table_format, ("msp",))
    other.make()
    other.cut(0)
    other.write(rows[1])
    other.close()

    found, content = go_on(tmp_path / "t", table_format, rows)

    assert [] == found
    assert whole == content


@pytest.mark.parametrize("table_format", FORMATS)
def test_blocks_are_the_rows_as_they_stand(tmp_path: Path, table_format: str) -> None:
    """Appended to another table, they make the same file."""
    rows = odd_rows()
    whole = write(tmp_path / "whole", table_format, rows)
    table = begin(tmp_path / "t", table_format)

    sizes = []
    for block in TextTable(tmp_path / "whole", table_format, HEADS).blocks(4):
        sizes.append(len(block))
        table.append(block)
    table.save()
    table.close()

    assert [4, 4, 4, 1] == sizes
    assert len(rows) == table.saved_rows
    assert whole == (tmp_path / "t").read_bytes()


def interrupted_after(count: int, error: BaseException) -> Callable[[Any, Any], int]:
    """A raw write that fails once `count` bytes are written, in small pieces until then."""
    left = [count]

    def write_some(file: Any, content: Any) -> int:
        if not left[0]:
            raise error
        written = os.write(file.fileno(), bytes(content[: min(7, left[0])]))
        left[0] -= written
        return written

    return write_some


@pytest.mark.parametrize("table_format", FORMATS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_write_that_stops_half_way_leaves_whole_rows(
    tmp_path: Path, table_format: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an interrupt or a full disk the file holds the rows of earlier writes, and goes on."""
    rows = odd_rows()
    whole = write(tmp_path / "whole", table_format, rows)
    for count in (0, 1, 50, 333):
        table = begin(tmp_path / "t", table_format)
        for item in rows[:3]:
            table.write(item)
        table.save()
        for item in rows[3:]:
            table.write(item)
        with monkeypatch.context() as patch:
            patch.setattr("edge_ood.tables.text_table._write", interrupted_after(count, error))
            with pytest.raises(type(error)):
                table.save()
        table.save()
        table.close()

        assert write(tmp_path / "three", table_format, rows[:3]) == (tmp_path / "t").read_bytes()
        assert 3 == table.saved_rows
        assert whole == go_on(tmp_path / "t", table_format, rows)[1]
