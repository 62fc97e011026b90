"""Pages of JSON documents are written from the dataclasses that these are made of."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@dataclass(frozen=True)
class Leaf:
    """A leaf."""

    size: float


@dataclass(frozen=True)
class Tree:
    """A tree.

    Attributes:
        name: What it is called,
            on two lines.
        leaves: By place, `<left>` or *right* | <none>.
        first: None without any.
        rings: Their widths.

    Source: a forest.
    """

    name: str
    leaves: Mapping[str, Leaf]
    first: Leaf | None
    rings: tuple[float, ...]


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The extension."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    import documents  # type: ignore[import-not-found]

    yield documents
    sys.modules.pop("documents")


def test_every_dataclass_below_one_is_a_table(
    documents: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fields have their types as in JSON, their meanings, and links to what they hold."""
    monkeypatch.setitem(sys.modules, "forest", sys.modules[__name__])

    written = documents.write_document("forest", "Tree")

    assert (
        "### Tree\n\nA tree.\n\n"
        "| key | value |\n| --- | --- |\n"
        "| `name` | text: What it is called, on two lines. |\n"
        "| `leaves` | object of [Leaf](#leaf): By place, `<left>` or \\*right\\* \\| \\<none>. |\n"
        "| `first` | [Leaf](#leaf), or null: None without any. |\n"
        "| `rings` | list of number: Their widths. |\n\n"
        "### Leaf\n\nA leaf.\n\n"
        "| key | value |\n| --- | --- |\n"
        "| `size` | number |"
    ) == written


def test_the_evaluation_document_is_whole(documents: ModuleType) -> None:
    """All parts of an evaluation are there, once each."""
    written = documents.write_document("edge_ood.evaluation.evaluation", "Evaluation")

    headings = [line for line in written.splitlines() if line.startswith("### ")]
    assert len(headings) == len(set(headings))
    assert {"### Evaluation", "### HeadOnId", "### PairMetrics", "### Example"} <= set(headings)
    assert "| `expected_calibration_error` | number: Over 15 equal-width bins" in written


def test_marks_of_a_page_are_filled(documents: ModuleType) -> None:
    """A mark on a line of its own becomes the sections; other text stays."""
    source = ["# Title\n\n<!-- document: edge_ood.evaluation.values Interval -->\n\nEnd\n"]

    documents._fill(None, "page", source)

    assert source[0].startswith("# Title\n\n### Interval\n")
    assert source[0].endswith("|\n\nEnd\n")
