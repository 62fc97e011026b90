"""Score tables: one contract in three formats, for any name that a file or class can have."""

import csv
import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ood.artifact.contract import columns
from edge_ood.artifact.outputs import Row
from edge_ood.errors import InputError
from edge_ood.files.paths import path_of, shown_path
from edge_ood.tables.formats import SavedRow, format_of, text_format, write_to

HEADS = ("energy", "msp")
COLUMNS = [
    *("path", "status", "error", "label", "label_index", "is_ood", "pvalue"),
    *("energy", "energy_pvalue", "energy_is_ood"),
    *("msp", "msp_pvalue", "msp_is_ood"),
]

ODD_NAMES = [
    "plain.png",
    "with space.png",
    'with "quotes".png',
    "with,comma;semicolon.png",
    "with\nnewline.png",
    "with\rreturn.png",
    "with\ttab.png",
    "'quoted'.png",
    "=1+1.png",
    "-rf.png",
    "@sum.png",
    "日本語/कुत्ता/🐕.png",
    "\u202egnp.exe",
]


def row(path: Path, label: str = "cat", energy: float = -1.5) -> Row:
    """A complete row."""
    values: dict[str, Any] = {
        "label": label,
        "label_index": 2,
        "is_ood": True,
        "pvalue": np.float32(0.1),
        "energy": np.float32(energy),
        "energy_pvalue": np.float32(1e-7),
        "energy_is_ood": True,
        "msp": np.float32(1 / 3),
        "msp_pvalue": np.float32(0.5),
        "msp_is_ood": False,
    }
    return Row(path, "ok", "", values)


def broken(path: Path) -> Row:
    """A row of a file without scores."""
    return Row(path, "unreadable", f"cannot read '{path}': gone", {})


def as_csv(rows: list[Row]) -> list[dict[str, str]]:
    """What a CSV reader makes of the rows."""
    stream = io.StringIO(newline="")
    write = write_to(stream, "csv", HEADS)
    for item in rows:
        write(item)
    stream.seek(0)
    return list(csv.DictReader(stream, strict=True))


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """What a JSON reader makes of the rows, line by line."""
    stream = io.StringIO()
    write = write_to(stream, "jsonl", HEADS)
    for item in rows:
        write(item)
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_columns_are_a_public_contract() -> None:
    """Names and order never change without a new major version."""
    assert COLUMNS == columns(HEADS)
    assert COLUMNS == list(as_csv([row(Path("a.png"))])[0])
    assert COLUMNS == list(as_json([row(Path("a.png"))])[0])


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_file_name_survives(name: str) -> None:
    """Names are read back as they are, below ./ so that no cell is a formula, errors likewise."""
    rows = [row(Path(name)), broken(Path(name))]

    for first, found in (as_csv(rows), as_json(rows)):
        assert f"./{name}" == first["path"] == found["path"] == shown_path(Path(name))
        assert f"cannot read '{name}': gone" == found["error"]


def test_bytes_outside_utf8_are_shown_in_hexadecimal() -> None:
    r"""A stray byte of a name stands as \xNN, in the path and in the error."""
    path = Path(os.fsdecode(b"caf\xe9.png"))

    (from_csv,), (from_json,) = as_csv([broken(path)]), as_json([broken(path)])

    assert r"./caf\xe9.png" == from_csv["path"] == from_json["path"]
    assert r"cannot read 'caf\xe9.png': gone" == from_csv["error"] == from_json["error"]


def test_paths_that_say_where_they_are_stay() -> None:
    """Absolute paths and those above this folder get no prefix."""
    assert "/a/b.png" == shown_path(Path("/a/b.png"))
    assert "../b.png" == shown_path(Path("../b.png"))
    assert "./..hidden/b.png" == shown_path(Path("..hidden/b.png"))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])  # noqa: RUF001  # a look-alike
def test_class_names_are_no_formulas(start: str) -> None:
    """In CSV a leading apostrophe disarms them; JSON has no formulas and keeps them."""
    label = f"{start}SUM(A1)"

    (from_csv,), (from_json,) = as_csv([row(Path("a"), label)]), as_json([row(Path("a"), label)])

    assert f"'{label}" == from_csv["label"]
    assert label == from_json["label"]


@pytest.mark.parametrize(
    "label", ["cat", "blue cat", "猫", "a\u2215b", "", "'quoted'", "3", "true"]
)
def test_other_class_names_stay(label: str) -> None:
    """Spaces, look-alikes of slashes and other letters are nothing special."""
    assert label == as_csv([row(Path("a"), label)])[0]["label"]
    assert label == as_json([row(Path("a"), label)])[0]["label"]


@pytest.mark.parametrize("label", ["a\0b", "\0", "x\r\n\"', =\0\x1a\x85\u2028\ufeff"])
@pytest.mark.parametrize("table_format", ["csv", "jsonl"])
def test_a_row_is_whole_whatever_its_class_is_called(table_format: str, label: str) -> None:
    """What is written is read back, or a finished table would be called damaged."""
    text = text_format(table_format, HEADS)

    line = text.line(row(Path("a.png"), label))

    saved = text.parse(line)
    assert text.is_whole(line.encode())
    assert saved is not None
    expected = label.replace("\0", r"\x00") if table_format == "csv" else label
    assert ("./a.png", expected) == (saved.path, saved.cells["label"])


def test_a_record_of_nuls_is_not_whole() -> None:
    """A power cut leaves them where a record was to be."""
    text = text_format("csv", HEADS)
    line = text.line(row(Path("a.png")))

    assert text.parse(line.replace("cat", "\0\0\0")) is None


def test_values_are_written_short_and_exact() -> None:
    """0.1 is 0.1, not 0.10000000149, and reads back to the same float32; true is true."""
    (from_csv,), (from_json,) = as_csv([row(Path("a"))]), as_json([row(Path("a"))])

    assert ("0.1", "-1.5", "1e-07") == tuple(
        from_csv[n] for n in ("pvalue", "energy", "energy_pvalue")
    )
    assert (0.1, -1.5, 1e-07) == tuple(from_json[n] for n in ("pvalue", "energy", "energy_pvalue"))
    assert np.float32(1 / 3) == np.float32(from_csv["msp"]) == np.float32(from_json["msp"])
    assert ("true", True) == (from_csv["is_ood"], from_json["is_ood"])
    assert ("false", False) == (from_csv["msp_is_ood"], from_json["msp_is_ood"])


def test_what_is_missing_is_empty_or_null() -> None:
    """A file without scores has its path, status and error, and no other value."""
    (from_csv,), (from_json,) = as_csv([broken(Path("a"))]), as_json([broken(Path("a"))])

    assert {""} == {from_csv[name] for name in COLUMNS[3:]}
    assert {None} == {from_json[name] for name in COLUMNS[3:]}
    assert "" == as_csv([row(Path("a"))])[0]["error"]
    assert as_json([row(Path("a"))])[0]["error"] is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_null(value: float) -> None:
    """Valid JSON matters more; the status column says `not-finite`."""
    assert as_json([row(Path("a"), energy=value)])[0]["energy"] is None
    assert str(value) == as_csv([row(Path("a"), energy=value)])[0]["energy"]


@pytest.mark.parametrize(
    ("path", "chosen", "expected"),
    [
        ("a.csv", None, "csv"),
        ("a.CSV", None, "csv"),
        ("a.jsonl", None, "jsonl"),
        ("a.ndjson", None, "jsonl"),
        ("a.parquet", None, "parquet"),
        ("a.csv", "jsonl", "jsonl"),
        ("a", "parquet", "parquet"),
        (None, None, "jsonl"),
        (None, "csv", "csv"),
    ],
)
def test_the_format_is_chosen_or_read_off_the_name(
    path: str | None, chosen: str | None, expected: str
) -> None:
    """`--format` wins over the ending; standard output has JSON Lines."""
    assert expected == format_of(Path(path) if path else None, chosen)


@pytest.mark.parametrize(
    ("path", "chosen", "message"),
    [
        ("a.xlsx", None, "cannot tell the format of 'a.xlsx'"),
        ("a", None, "cannot tell the format of 'a'"),
        ("a.csv", "excel", "unknown format 'excel'"),
        (None, "parquet", "Parquet needs a file"),
    ],
)
def test_a_format_that_cannot_be_is_an_error(
    path: str | None, chosen: str | None, message: str
) -> None:
    """With a hint that names what can."""
    with pytest.raises(InputError, match=message) as raised:
        format_of(Path(path) if path else None, chosen)

    assert "parquet" in str(raised.value.hint)


def test_numbers_are_read_back_as_they_were() -> None:
    """As float32, from text and from JSON; what is no number is NaN."""
    values = {"a": "0.1", "b": 0.1, "c": "nan", "d": None, "e": "", "f": "x", "g": 3}
    row = SavedRow("./x.png", "ok", False, values)

    assert float(np.float32(0.1)) == row.number("a") == row.number("b")
    assert 3.0 == row.number("g")
    assert all(math.isnan(row.number(name)) for name in "cdef")


@pytest.mark.parametrize(
    "name",
    [
        b"plain.png",
        b"caf\xe9.png",
        b"cut \xe6\x97.png",
        b"written \\xe9.png",
        "caf\u00e9 \U0001f4f7.png".encode(),
        b"line\nbreak.png",
    ],
)
@pytest.mark.parametrize("is_absolute", [False, True])
def test_a_path_in_a_table_finds_its_file(
    name: bytes, is_absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever bytes its name has."""
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    path = tmp_path / path if is_absolute else path
    path.write_text("x")

    assert path_of(shown_path(path)).samefile(path)


def test_a_path_that_is_gone_is_a_path(tmp_path: Path) -> None:
    """However long it is; opening it will tell."""
    assert Path("a" * 9000) == path_of("a" * 9000)
