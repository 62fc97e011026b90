"""Tables in object stores: the bytes that a file would have, whole or not there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import Store, serving_store
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.tables import stored_output
from edge_ood.tables.writer import TableWriter

ENDINGS = ("csv", "jsonl", "parquet")
URL = "s3://photos/tables/out"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where tables are made; there is no power cut."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edge-ood" / "stores"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Tables go there."""
    pytest.importorskip("pyarrow")
    with serving_store(monkeypatch.setenv) as found:
        yield found


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def score(artefact: str, output: str, *options: object) -> Result:
    return run("score", artefact, "images", "-o", output, "--batch-size", 4, *options)


def written(name: str) -> dict[str, bytes]:
    """A table of this file system and its record, by what follows their name."""
    path, record = Path(name), Path(f"{name}.run.json")
    parts = sorted(path.iterdir()) if path.is_dir() else []
    table = {f"/{p.name}": p.read_bytes() for p in parts} or {"": path.read_bytes()}
    return {**table, ".run.json": record.read_bytes()}


def stored(store: Store, key: str) -> dict[str, bytes]:
    """The same of a table in the store."""
    return {k.removeprefix(key): store.content(k) for k in store.names() if k.startswith(key)}


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_in_a_store_is_the_table_of_a_file(
    artefact: str, folder: Path, store: Store, cache: Path, ending: str
) -> None:
    """Byte for byte, with its record; nothing stays on this machine, and nothing else there."""
    local = score(artefact, f"out.{ending}")

    result = score(artefact, f"{URL}.{ending}")

    assert 0 == local.exit_code == result.exit_code, result.output
    assert written(f"out.{ending}") == stored(store, f"tables/out.{ending}")
    assert len(written(f"out.{ending}")) == len(store.names())
    assert not files_in(cache)


@pytest.mark.parametrize("ending", ENDINGS)
def test_shards_in_a_store_are_merged_there(
    artefact: str, folder: Path, store: Store, cache: Path, ending: str
) -> None:
    """By a pattern, which matches files and folders of parts alike; or from there to here."""
    score(artefact, f"out.{ending}")
    for index in (1, 2, 3):
        assert 0 == score(artefact, f"{URL}-{index}.{ending}", "--shard", f"{index}/3").exit_code

    there = run("merge", f"{URL}-*.{ending}", "-o", f"s3://photos/whole.{ending}")
    here = run("merge", f"{URL}-{{1..3}}.{ending}", "-o", f"merged.{ending}")

    assert 0 == there.exit_code == here.exit_code, there.output + here.output
    assert f"24 rows in 's3://photos/whole.{ending}'" in there.stderr
    assert written(f"out.{ending}") == stored(store, f"whole.{ending}")
    assert written(f"out.{ending}") == written(f"merged.{ending}")
    assert not files_in(cache)


def interrupt_after(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C would."""
    write, count = TableWriter.write, []

    def interrupted(self: TableWriter, row: object) -> None:
        if len(count) == rows:
            monkeypatch.setattr(TableWriter, "write", write)
            raise KeyboardInterrupt
        count.append(row)
        write(self, row)  # type: ignore[arg-type]

    monkeypatch.setattr(TableWriter, "write", interrupted)


def test_an_interrupted_run_goes_on(
    artefact: str, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the rows that this machine has; the store has nothing until then."""
    score(artefact, "out.csv")
    interrupt_after(13, monkeypatch)

    stopped = score(artefact, f"{URL}.csv")
    assert not store.names()
    again = score(artefact, f"{URL}.csv")
    resumed = score(artefact, f"{URL}.csv", "--resume")

    assert 130 == stopped.exit_code
    assert f"'{URL}.csv' was begun and is not finished" in again.stderr
    assert 0 == resumed.exit_code, resumed.output
    assert written("out.csv") == stored(store, "tables/out.csv")


def test_a_finished_table_that_was_not_stored_is(
    artefact: str, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was gone when the last row was there: nothing is scored again."""
    score(artefact, "out.csv")
    send = stored_output.store

    def is_gone(*_: object) -> None:
        monkeypatch.setattr(stored_output, "store", send)
        raise OSError("the network is gone")

    monkeypatch.setattr(stored_output, "store", is_gone)
    assert 0 != score(artefact, f"{URL}.csv").exit_code
    interrupt_after(0, monkeypatch)

    resumed = score(artefact, f"{URL}.csv", "--resume")

    assert 0 == resumed.exit_code, resumed.output
    assert written("out.csv") == stored(store, "tables/out.csv")


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_there_is_kept_or_replaced_as_a_whole(
    artefact: str, folder: Path, store: Store, cache: Path, ending: str
) -> None:
    """Refused, gone on with at once, or replaced; parts of a larger table do not stay."""
    store.put(f"tables/out.{ending}" + "/part-99999.parquet" * (ending == "parquet"), b"old")

    refused = score(artefact, f"{URL}.{ending}")
    forced = score(artefact, f"{URL}.{ending}", "--force")
    whole = stored(store, f"tables/out.{ending}")
    resumed = score(artefact, f"{URL}.{ending}", "--resume")
    other = score(artefact, f"{URL}.{ending}", "--resume", "--scores", "energy")

    assert 1 == refused.exit_code
    assert f"error: '{URL}.{ending}' exists" in refused.stderr
    assert 0 == forced.exit_code == resumed.exit_code, forced.output + resumed.output
    assert "24 files" in resumed.stderr
    assert whole == stored(store, f"tables/out.{ending}")
    assert not any(b"old" == content for content in whole.values())
    assert 1 == other.exit_code
    assert f"cannot resume '{URL}.{ending}': --scores was" in other.stderr


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("s3://nowhere/out.csv", "cannot write 's3://nowhere/out.csv'"),
        ("ftp://host/out.csv", "ftp://host/out.csv"),
    ],
)
def test_a_store_that_takes_nothing_is_refused_before_work(
    artefact: str, folder: Path, store: Store, output: str, message: str
) -> None:
    """One line and a hint."""
    result = score(artefact, output)

    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]


def test_a_file_url_is_a_path(artefact: str, folder: Path, tmp_path: Path) -> None:
    """Without pyarrow."""
    result = score(artefact, f"file://{tmp_path}/a%20b.csv")

    assert 0 == result.exit_code, result.output
    assert (tmp_path / "a b.csv").is_file()


def test_a_shard_that_is_not_finished_is_named(artefact: str, folder: Path, store: Store) -> None:
    """A table without its record is none."""
    store.put("tables/out-1.csv", b"path,status\n")

    result = run("merge", f"{URL}-*.csv", "-o", "merged.csv")

    assert result.exit_code
    assert f"{URL}-1.csv'" in result.stderr
    assert not Path("merged.csv").exists()
