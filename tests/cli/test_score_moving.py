"""Scoring while files vanish, change and grow, and scoring very many: every row is its file's."""

import csv
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.files.input_files import InputFiles
from edge_ood.runtime.scorer import Scorer

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "black": (0, 0, 0)}
MANY = 100_000


@pytest.fixture(scope="module")
def reader(
    tmp_path_factory: pytest.TempPathFactory,
    make_reader: Callable[[Mapping[str, NDArray[np.uint8]], Path], None],
) -> Path:
    """An artefact that tells colours."""
    path = tmp_path_factory.mktemp("reader") / "x.onnx"
    make_reader({name: np.full((2, 2, 3), c, np.uint8) for name, c in COLOURS.items()}, path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    """One picture of each colour."""
    paths = {name: tmp_path / f"{name}.png" for name in COLOURS}
    for name, path in paths.items():
        Image.new("RGB", (2, 2), COLOURS[name]).save(path)
    return paths


def test_files_vanish_and_change_before_they_are_read(
    reader: Path, photos: dict[str, Path], tmp_path: Path
) -> None:
    """A folder was listed, then every third file is deleted, every other third another picture."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(300):
        shutil.copy(photos["red"], folder / f"{number:03}.png")

    def moving() -> Iterator[Path]:
        for number, path in enumerate(InputFiles([folder])):
            if number % 3 == 1:
                path.unlink()
            elif number % 3 == 2:
                shutil.copy(photos["blue"], path)
            yield path

    rows = list(Scorer(reader).stream(moving(), batch_size=7))

    assert [f"{number:03}.png" for number in range(300)] == [row.path.name for row in rows]
    assert ["ok", "unreadable", "ok"] * 100 == [row.status for row in rows]
    assert ["red", None, "blue"] * 100 == [row.values.get("label") for row in rows]
    assert all("No such file" in row.error for row in rows[1::3])


def test_a_folder_that_vanishes_is_a_row(
    reader: Path, photos: dict[str, Path], tmp_path: Path
) -> None:
    """It was there when its parent was listed; what became of its files nobody knows."""
    for name in ("a", "b", "c"):
        (tmp_path / "folder" / name).mkdir(parents=True)
        shutil.copy(photos["green"], tmp_path / "folder" / name)

    def moving() -> Iterator[Path]:
        for path in InputFiles([tmp_path / "folder"]):
            shutil.rmtree(tmp_path / "folder" / "b", ignore_errors=True)
            yield path

    rows = list(Scorer(reader).stream(moving()))

    assert ["green.png", "b", "green.png"] == [row.path.name for row in rows]
    assert ["ok", "unreadable", "ok"] == [row.status for row in rows]


def test_a_file_that_is_being_written_is_whole_or_an_error(
    reader: Path, photos: dict[str, Path], tmp_path: Path
) -> None:
    """Read while another program writes red and blue by turns: never anything between."""
    path = tmp_path / "moving.bmp"
    whole = []
    for name in ("red", "blue"):
        Image.new("RGB", (300, 300), COLOURS[name]).save(path)
        whole.append(path.read_bytes())
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            for content in whole:
                with path.open("wb") as file:
                    file.write(content[:30_000])
                    file.flush()
                    done.wait(0.0005)
                    file.write(content[30_000:])
                done.wait(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        rows = list(Scorer(reader).stream([path] * 400, batch_size=4))
    finally:
        done.set()
        writer.join()

    assert 400 == len(rows)
    assert {row.values.get("label") for row in rows} <= {"red", "blue", None}
    assert {row.status for row in rows} <= {"ok", "unreadable", "not-an-image"}
    assert "ok" in {row.status for row in rows}


@pytest.mark.slow
def test_very_many_files_in_one_folder(
    reader: Path, photos: dict[str, Path], tmp_path: Path
) -> None:
    """A hundred thousand: each has one row, in the order of names, with its own result."""
    folder = tmp_path / "folder"
    folder.mkdir()
    drawn = np.random.default_rng(0).permutation(MANY)
    for number in drawn.tolist():
        os.link(photos[list(COLOURS)[number % 4]], folder / f"{number}.png")

    result = CliRunner().invoke(
        app, ["score", str(reader), str(folder), "-o", str(folder / "x.csv")]
    )

    assert 0 == result.exit_code
    with (folder / "x.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, strict=True))
    numbers = sorted(range(MANY), key=lambda number: f"{number}.png")
    assert [str(folder / f"{number}.png") for number in numbers] == [row["path"] for row in rows]
    assert [list(COLOURS)[number % 4] for number in numbers] == [row["label"] for row in rows]
