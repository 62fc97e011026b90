"""The gallery keeps the most suspicious images, however many go by and from wherever they come."""

import dataclasses
import os
import re
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.outputs import Row
from edge_ood.report.gallery import Gallery
from edge_ood.runtime.scorer import Scorer
from edge_ood.tables.parquet_table import ParquetTable
from edge_ood.tables.text_table import TextTable

HEADS = ("energy", "msp")
CLASSES = ("=green", "red apple", "蓝\u2215blue")


@pytest.fixture(scope="module")
def metadata(colour_artifact: Path) -> Metadata:
    """Of an artefact whose classes are `CLASSES`, one of them like a formula."""
    return Scorer(colour_artifact, provider="cpu").metadata


def row(path: str | Path, pvalue: float, score: float, label_index: int = 0) -> Row:
    """A scored image, flagged at 0.05."""
    values = {
        "label": CLASSES[label_index],
        "label_index": label_index,
        "is_ood": bool(pvalue <= 0.05),
        "pvalue": np.float32(pvalue),
    }
    for head, value in zip(HEADS, (score, -score), strict=True):
        values |= {head: np.float32(value), f"{head}_pvalue": values["pvalue"]}
        values[f"{head}_is_ood"] = values["is_ood"]
    return Row(Path(path), "ok", "", values)


def many_rows() -> list[Row]:
    """200 images, many of which have the same p-value or all the same numbers."""
    generator = np.random.default_rng(0)
    pvalues = generator.choice([0.01, 0.05, 1 / 3, 0.7], 200)
    scores = generator.integers(-2, 3, 200) / 7
    return [
        row(f"{i:03}.png", p, s, i % 3)
        for i, (p, s) in enumerate(zip(pvalues, scores, strict=True))
    ]


def page_of(metadata: Metadata, rows: Sequence[Row], size: int = 200) -> str:
    """The page of rows that were just scored."""
    gallery = Gallery(metadata, size)
    for item in rows:
        gallery.add(item)
    return gallery.page(artifact="a.onnx", guarantee="")


def shown_names(page: str) -> list[str]:
    """The file names below the pictures, in order."""
    return re.findall(r"<span>([^<]*)</span>\n</figcaption>", page)


@pytest.mark.parametrize("size", [1, 7, 199, 200, 1000])
def test_the_smallest_pvalues_are_kept(metadata: Metadata, size: int) -> None:
    """In the order of p-value, then score from large to small, then arrival."""
    rows = many_rows()

    page = page_of(metadata, rows, size)

    ranked = sorted(rows, key=lambda r: (r.values["pvalue"], -r.values["energy"]))
    assert [str(r.path) for r in ranked[:size]] == shown_names(page)


def test_decisions_part_the_gallery(metadata: Metadata) -> None:
    """Flagged images stand under one heading, the others under the next, each with its numbers."""
    page = page_of(metadata, [row("a.png", 0.7, -1.5, 1), row("b.png", 0.01, 2.25, 0)])

    _, flagged, accepted = re.split('<section id="(?:flagged|accepted)"', page)
    lines = [re.findall("<span>([^<]*)</span>", part) for part in (flagged, accepted)]
    assert [["=green", "p = 0.0100", "energy 2.25", "b.png"]] == [lines[0]]
    assert [["red apple", "p = 0.7000", "energy -1.5", "a.png"]] == [lines[1]]


@pytest.mark.parametrize("table_format", ["csv", "jsonl", "parquet"])
def test_rows_of_a_table_are_as_good_as_new_ones(
    metadata: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table_format: str
) -> None:
    """The page is the same, byte for byte, whichever part of the rows an earlier run left."""
    if table_format == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    rows = many_rows()
    rows[3] = Row(Path("x,\n.png"), "unreadable", "'x' is not an image", {})
    rows[5] = dataclasses.replace(
        rows[5],
        status="not-finite",
        error="inf",
        values=rows[5].values | {"energy": np.float32(np.nan)},
    )
    rows[7] = row(os.fsdecode(b"caf\xe9.png"), 0.001, 9.0)
    rows[8] = row("cut \\xe9.png", 0.002, 9.0)
    for index in (7, 8):
        Image.new("RGB", (9, 9), (index, 0, 0)).save(rows[index].path)
    path = tmp_path / "table"
    table = (
        ParquetTable(path, HEADS)
        if table_format == "parquet"
        else TextTable(path, table_format, HEADS)
    )
    table.make()
    table.cut(0)
    for item in rows:
        table.write(item)
    table.save()
    table.close()

    gallery = Gallery(metadata, 120)
    for index, saved in enumerate(table.saved()):
        gallery.take_over(saved) if index < 130 else gallery.add(rows[index])

    page = gallery.page(artifact="a.onnx", guarantee="")
    assert page_of(metadata, rows, 120) == page
    assert 2 == page.count("<img ")
    assert "./x,\\n.png" in page


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["/data/a/1.png", "/data/a/2.png"], "/data/a/"),
        (["/data/a/1.png", "/data/ab/2.png"], "/data/"),
        (["a/1.png", "a/b/2.png"], "./a/"),
        (["a/1.png", "../a/2.png"], ""),
        (["a/1.png", "/a/2.png"], ""),
        (["/1.png", "/a/2.png"], "/"),
        (["1.png"], "./"),
    ],
)
def test_a_common_folder_is_said_once(metadata: Metadata, paths: list[str], folder: str) -> None:
    """Long paths would hide the names; the whole path is the alternative text."""
    page = page_of(metadata, [row(path, 0.01, 0.0) for path in paths])

    for path, name in zip(paths, shown_names(page), strict=True):
        whole = path if path.startswith(("/", "../")) else f"./{path}"
        assert folder + name == whole
        assert f'<figure title="{whole}">' in page
    assert (f"<dd>{folder}</dd>" in page) == bool(folder)


def test_counts_cover_what_is_not_shown(metadata: Metadata) -> None:
    """Files, flagged images and files without a score, by status; as many of them are listed."""
    broken = [Row(Path(f"{i}.txt"), "not-an-image", "no image", {}) for i in range(5)]
    broken += [Row(Path("x.png"), "unreadable", "gone", {})]

    page = page_of(metadata, [*many_rows(), *broken], 3)

    flagged = sum(bool(r.values["is_ood"]) for r in many_rows())
    numbers = re.findall('<dd class="value">([^<]*)</dd>', page)
    assert ["206", str(flagged), "6"] == numbers
    assert f"{flagged / 206:.1%} of all files" in page
    assert "The 3 most suspicious of 200 scored images." in page
    assert f"3 of {flagged}." in page
    assert "5 not-an-image, 1 unreadable; the first 3 are listed." in " ".join(page.split())
    assert 3 == page.count("no image</span>")


@pytest.mark.parametrize("rows", [[], [Row(Path("x"), "unreadable", "gone", {})]])
def test_a_gallery_may_be_empty(
    metadata: Metadata, rows: list[Row], check_page: Callable[[str], None]
) -> None:
    """Where nothing was scored, the page says so."""
    page = page_of(metadata, rows)

    check_page(page)
    assert "No image was flagged." in page


def test_an_image_that_is_gone_keeps_its_place(metadata: Metadata) -> None:
    """Its numbers are there; in place of the picture stands that it cannot be read."""
    page = page_of(metadata, [row("gone.png", 0.01, 0.0)])

    assert "not readable" in page
    assert ["gone.png"] == shown_names(page)


def test_a_damaged_row_is_no_image(metadata: Metadata) -> None:
    """A table that was edited by hand cannot break the page."""
    from edge_ood.tables.formats import SavedRow

    gallery = Gallery(metadata, 5)
    for index in ("", "3", "-1", "one", None):
        cells = {"pvalue": "0.5", "energy": "1", "label_index": index, "error": None}
        gallery.take_over(SavedRow("./x.png", "ok", False, cells))

    assert 0 == gallery.shown
    assert "./x.png" in gallery.page(artifact="a", guarantee="")


def test_memory_does_not_grow_with_the_number_of_images(metadata: Metadata) -> None:
    """Forty thousand go by, twenty stay."""
    gallery = Gallery(metadata, 10)
    item, broken = row("a.png", 0.5, 0.0), Row(Path("a.txt"), "unreadable", "gone", {})
    tracemalloc.start()
    for index in range(20_000):
        values = {**item.values, "energy": np.float32(index)}
        gallery.add(dataclasses.replace(item, values=values))
        gallery.add(dataclasses.replace(broken, error=str(index)))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 200_000
    assert 10 == gallery.shown
