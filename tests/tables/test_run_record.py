"""What is on record about a table, and what makes two runs different."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ood.errors import ArtifactError, InputError
from edge_ood.tables.run_record import Finished, RunRecord, read_record, write_record
from edge_ood.tables.shards import Shard

RECORD = RunRecord(
    version="0.1.0",
    artifact="ab" * 32,
    provider="cpu",
    table="csv",
    scores=("energy", "msp"),
    batch_size=32,
    paths=("images", r"caf\xe9", "-"),
    listed="cd" * 32,
    shard=Shard(2, 3),
)
OTHERS: dict[str, Any] = {
    "version": "0.2.0",
    "artifact": "ef" * 32,
    "provider": "cuda",
    "table": "jsonl",
    "scores": ("energy",),
    "batch_size": 16,
    "paths": ("images",),
    "listed": "",
    "shard": Shard(3, 3),
}


@pytest.mark.parametrize("finished", [None, Finished(2, 7, "01" * 32)])
def test_a_record_is_read_as_it_was_written(tmp_path: Path, finished: Finished | None) -> None:
    """Finished or not."""
    record = replace(RECORD, finished=finished)

    write_record(tmp_path / "run.json", record)

    assert record == read_record(tmp_path / "run.json")
    assert [tmp_path / "run.json"] == list(tmp_path.iterdir())


def test_a_record_has_the_keys_that_it_always_had(tmp_path: Path) -> None:
    """Tables that were begun by an earlier version are gone on with, and the other way round."""
    write_record(tmp_path / "run.json", RECORD)

    keys = ["format", "version", "artefact", "provider", "table", "scores", "batch_size", "paths"]
    assert [*keys, "listed", "shard"] == list(json.loads((tmp_path / "run.json").read_text()))


def test_the_same_options_are_the_same_run() -> None:
    """Finished or not."""
    RECORD.check_same(replace(RECORD, finished=Finished(1, 1, "")), subject="", hint="")


@pytest.mark.parametrize("name", OTHERS)
def test_every_field_tells_runs_apart(name: str) -> None:
    """The message has both values."""
    other = replace(RECORD, **{name: OTHERS[name]})

    with pytest.raises(InputError, match=r"^cannot resume 'x': .+ was .+ and is .+$") as raised:
        RECORD.check_same(other, subject="cannot resume 'x'", hint="what to do")

    assert "what to do" == raised.value.hint
    assert ";" not in str(raised.value)


def damaged(**changes: Any) -> str:
    """A record with some fields changed, and those of None left out."""
    document = {
        "format": 1,
        "version": "0.1.0",
        "artefact": "ab",
        "provider": "cpu",
        "table": "csv",
        "scores": ["energy"],
        "batch_size": 32,
        "paths": ["images"],
        "listed": "",
        "shard": {"index": 1, "count": 1},
        **changes,
    }
    return json.dumps({name: value for name, value in document.items() if value is not None})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        damaged(format="1"),
        damaged(version=None),
        damaged(artefact=3),
        damaged(table="excel"),
        damaged(scores="energy"),
        damaged(scores=[1]),
        damaged(batch_size=0),
        damaged(batch_size=True),
        damaged(batch_size=1e300),
        damaged(paths={}),
        damaged(shard={}),
        damaged(shard={"index": 2, "count": 1}),
        damaged(finished=[]),
        damaged(finished={"rows": 1}),
        damaged(finished={"rows": "1", "files": 1, "files_hash": ""}),
    ],
)
def test_a_damaged_record_is_one_error(tmp_path: Path, text: str) -> None:
    """It names the file."""
    path = tmp_path / "run.json"
    path.write_text(text)

    with pytest.raises(ArtifactError, match=f"'{path}' is damaged: ") as raised:
        read_record(path)

    assert raised.value.hint


def test_bytes_that_are_no_text_are_damage(tmp_path: Path) -> None:
    """As a power cut may leave them."""
    (tmp_path / "run.json").write_bytes(b"\xff\0")

    with pytest.raises(ArtifactError, match=r"run\.json' is damaged"):
        read_record(tmp_path / "run.json")


def test_a_record_of_a_newer_version_says_so(tmp_path: Path) -> None:
    """It is not called damaged."""
    (tmp_path / "run.json").write_text(damaged(format=2))

    with pytest.raises(ArtifactError, match="has format 2, this edge-ood reads up to 1"):
        read_record(tmp_path / "run.json")


def test_a_missing_record_is_an_error(tmp_path: Path) -> None:
    """It says what the file is for."""
    with pytest.raises(ArtifactError, match=r"no file '.*run.json', which says what made"):
        read_record(tmp_path / "run.json")
