"""Parquet tables: parts of a fixed number of rows, whole at any time."""

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ood.artifact.contract import columns
from edge_ood.artifact.outputs import Row
from edge_ood.errors import MissingDependencyError
from edge_ood.files.paths import shown_path
from edge_ood.tables.formats import SavedRow
from edge_ood.tables.parquet_table import ParquetTable, is_part

HEADS = ("energy", "msp")
NAMES = st.binary(max_size=12).map(lambda name: name.replace(b"\0", b"0"))
QUICK = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system keeps what it was given: there is no power cut here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(autouse=True)
def four_rows_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, so that small tables have several."""
    monkeypatch.setattr("edge_ood.tables.parquet_table._ROWS_PER_PART", 4)


def row(name: bytes, energy: float = math.nan) -> Row:
    """A row of a file in this folder; without scores if its energy is NaN."""
    values: dict[str, Any] = {
        "label": "cat",
        "label_index": 2,
        "is_ood": energy > 0,
        "pvalue": np.float32(0.1),
        **{head: np.float32(energy) for head in HEADS},
        **{f"{head}_pvalue": np.float32(1e-7) for head in HEADS},
        **{f"{head}_is_ood": True for head in HEADS},
    }
    path = Path(os.fsdecode(name))
    if math.isnan(energy):
        return Row(path, "unreadable", f"cannot read '{path}': gone", {})
    return Row(path, "ok", "", values)


def rows_of(count: int) -> list[Row]:
    """Rows, every third without scores."""
    return [row(b"%d.png" % i, math.nan if i % 3 == 0 else i - 5) for i in range(count)]


def saved(rows: Sequence[Row]) -> list[SavedRow]:
    """What is to be read back."""
    return [SavedRow(shown_path(r.path), r.status, bool(r.values.get("is_ood"))) for r in rows]


def write(path: Path, rows: Sequence[Row], *, saves: Sequence[int] = ()) -> dict[str, bytes]:
    """A table of these rows, saved behind some of them; returns its files."""
    table = ParquetTable(path, HEADS)
    table.make()
    table.cut(0)
    for index, item in enumerate(rows):
        table.write(item)
        if index in saves:
            table.save()
    table.save()
    table.close()
    assert len(rows) == table.saved_rows
    return files(path)


def files(path: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {part.name: part.read_bytes() for part in path.iterdir()}


def go_on(path: Path, kept: int, rows: Sequence[Row]) -> dict[str, bytes]:
    """Keep some rows and write the others."""
    table = ParquetTable(path, HEADS)
    table.cut(kept)
    for item in rows[kept:]:
        table.write(item)
    table.save()
    return files(path)


@QUICK
@given(names=st.lists(NAMES, max_size=10), energy=st.floats(width=32))
def test_any_row_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes], energy: float
) -> None:
    """By us and by pyarrow: whatever bytes a name has and whatever the scores are."""
    path = tmp_path_factory.mktemp("t") / "t"
    rows = [row(name, energy) for name in names]
    write(path, rows)

    table = pq.read_table(path)

    assert saved(rows) == list(ParquetTable(path, HEADS).saved())
    assert [shown_path(r.path) for r in rows] == table["path"].to_pylist()
    assert [r.values.get("energy") for r in rows] == table["energy"].to_pylist()


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 11])
def test_parts_have_the_same_number_of_rows(tmp_path: Path, count: int) -> None:
    """All but the last; no rows are one part, for the columns."""
    write(tmp_path / "t", rows_of(count))

    sizes = [pq.read_metadata(part).num_rows for part in sorted((tmp_path / "t").iterdir())]

    assert count == sum(sizes)
    assert {4} >= set(sizes[:-1])
    assert max(1, -(-count // 4)) == len(sizes)
    assert columns(HEADS) == pq.read_table(tmp_path / "t").column_names


def test_columns_are_typed(tmp_path: Path) -> None:
    """Scores are float32, decisions bool, the label's index int64."""
    write(tmp_path / "t", [])

    types = {field.name: str(field.type) for field in pq.read_table(tmp_path / "t").schema}

    assert ("float", "float", "bool") == tuple(types[f"msp{s}"] for s in ("", "_pvalue", "_is_ood"))
    assert ("string", "int64", "bool") == tuple(
        types[n] for n in ("label", "label_index", "is_ood")
    )


def test_saving_in_between_changes_nothing(tmp_path: Path) -> None:
    """The files do not depend on when rows were saved."""
    rows = rows_of(11)

    once = write(tmp_path / "once", rows)

    assert once == write(tmp_path / "each", rows, saves=range(11))
    assert once == write(tmp_path / "some", rows, saves=[1, 3, 4, 9])


@pytest.mark.parametrize("kept", range(12))
def test_going_on_after_any_row_ends_with_the_same_files(tmp_path: Path, kept: int) -> None:
    """From a table with exactly those rows, and from one with more."""
    rows = rows_of(11)
    whole = write(tmp_path / "whole", rows)
    write(tmp_path / "beginning", rows[:kept])
    write(tmp_path / "more", rows)

    assert saved(rows[:kept]) == list(ParquetTable(tmp_path / "beginning", HEADS).saved())
    assert whole == go_on(tmp_path / "beginning", kept, rows)
    assert whole == go_on(tmp_path / "more", kept, rows)


@pytest.mark.parametrize("kept", range(12))
def test_a_table_can_be_cut_after_any_row(tmp_path: Path, kept: int) -> None:
    """Later rows are gone, parts with nothing else as well."""
    rows = rows_of(11)
    expected = write(tmp_path / "expected", rows[:kept])
    write(tmp_path / "t", rows)

    assert expected == go_on(tmp_path / "t", kept, rows[:kept])


@pytest.mark.parametrize("damage", ["missing", "empty", "half", "other columns", "short"])
def test_rows_before_a_damaged_part_are_kept(tmp_path: Path, damage: str) -> None:
    """What comes behind it is scored again; names in the making are swept away."""
    rows = rows_of(11)
    whole = write(tmp_path / "t", rows)
    part = tmp_path / "t" / "part-00001.parquet"
    content = part.read_bytes()
    (tmp_path / "t" / ".edge-ood-0a1b2c3d.part").write_bytes(b"half")
    if damage == "missing":
        part.unlink()
    elif damage == "other columns":
        pq.write_table(pa.table({"path": ["a"] * 4}), part)
    elif damage == "short":
        pq.write_table(pq.ParquetFile(part).read().slice(0, 0), part)
    else:
        part.write_bytes(content[: len(content) // 2] if damage == "half" else b"")

    found = list(ParquetTable(tmp_path / "t", HEADS).saved())

    assert saved(rows[:4]) == found
    assert whole == go_on(tmp_path / "t", 4, rows)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 32])
def test_blocks_make_the_same_files(tmp_path: Path, size: int) -> None:
    """Appended to another table, however many rows a block has."""
    rows = rows_of(11)
    whole = write(tmp_path / "whole", rows)
    table = ParquetTable(tmp_path / "t", HEADS)
    table.make()
    table.cut(0)

    blocks = list(ParquetTable(tmp_path / "whole", HEADS).blocks(size))
    for block in blocks:
        table.append(block)
    table.save()

    assert {size} >= {len(block) for block in blocks[:-1]}
    assert whole == files(tmp_path / "t")


def test_a_folder_name_with_an_equals_sign_is_no_column(tmp_path: Path) -> None:
    """Arrow takes such names for partitions unless told otherwise."""
    path = tmp_path / "run=3" / "t"
    path.parent.mkdir()
    write(path, rows_of(5))

    assert saved(rows_of(5)) == list(ParquetTable(path, HEADS).saved())


def test_not_a_number_keeps_its_bits(tmp_path: Path) -> None:
    """A part that is read and written again has the same NaN, its sign included."""
    negative = np.uint32(0xFFC00001).view(np.float32)
    rows = [row(b"%d" % i, 1.0) for i in range(3)]
    for item in rows:
        item.values["energy"] = negative  # type: ignore[index]  # a dict
    whole = write(tmp_path / "whole", rows)
    write(tmp_path / "t", rows[:1])

    assert whole == go_on(tmp_path / "t", 1, rows)
    assert b"\x01\x00\xc0\xff" in whole["part-00000.parquet"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("part-00000.parquet", True),
        ("part-123456.parquet", True),
        ("part-1.parquet", False),
        ("part-00000.parquet.bak", False),
        ("scores.parquet", False),
    ],
)
def test_parts_are_known_by_name(name: str, expected: bool) -> None:
    """Nothing else in a folder may be taken for ours and replaced."""
    assert expected == is_part(name)


def test_without_its_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is made."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(MissingDependencyError, match="Parquet needs pyarrow") as raised:
        ParquetTable(tmp_path / "t", HEADS)

    assert "pip install 'edge-ood[parquet]'" == raised.value.hint
    assert [] == list(tmp_path.iterdir())
