"""Places for tables."""

import os
from pathlib import Path

import pytest

from edge_ood.tables.score_output import ScoreOutput

FORMATS = ("csv", "jsonl", "parquet")


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system keeps what it was given: there is no power cut here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(params=FORMATS)
def output(request: pytest.FixtureRequest, tmp_path: Path) -> ScoreOutput:
    """A place for a table of each format."""
    return ScoreOutput(tmp_path / f"t.{request.param}", request.param)


@pytest.fixture
def csv_output(tmp_path: Path) -> ScoreOutput:
    """A place for a table."""
    return ScoreOutput(tmp_path / "t.csv", "csv")
