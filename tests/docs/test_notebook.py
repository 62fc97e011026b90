"""The notebook of the documentation runs, and is kept without what it put out."""

import ast
from pathlib import Path
from typing import Any

import pytest

import edge_ood

nbformat = pytest.importorskip("nbformat")
pytestmark = pytest.mark.source
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def notebook() -> Any:
    """As it stands."""
    return nbformat.read(DOCS / "notebook.ipynb", as_version=4)


def code(notebook: Any) -> list[Any]:
    """Its cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebook_is_sound_and_empty(notebook: Any) -> None:
    """It has the form of notebooks, and neither outputs nor counts of runs."""
    nbformat.validate(notebook)

    assert [([], None)] * len(code(notebook)) == [
        (cell.outputs, cell.execution_count) for cell in code(notebook)
    ]


def test_the_notebook_uses_what_there_is(notebook: Any) -> None:
    """Its names of the package are public, and it shows the main ones."""
    tree = ast.parse("\n".join(cell.source for cell in code(notebook)))

    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "edge_ood"
    }
    assert {"Scorer", "evaluate", "export", "train"} == used
    assert used <= set(edge_ood.__all__)


def test_the_page_about_python_links_the_notebook() -> None:
    """Where readers look for it."""
    assert "<notebook.ipynb>`" in (DOCS / "python.md").read_text("utf-8")


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs(notebook: Any, tmp_path: Path) -> None:
    """In a kernel; results are tables of HTML, and sheets of images are pictures."""
    nbclient = pytest.importorskip("nbclient")
    for name in ("ipykernel", "torch", "sklearn", "pandas"):
        pytest.importorskip(name)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"import os; os.chdir({str(tmp_path)!r})"))

    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()

    shown = [set(output.get("data", ())) for cell in code(notebook) for output in cell.outputs]
    assert [] == [kinds for kinds in shown if kinds and "text/plain" not in kinds]
    assert 5 == sum("text/html" in kinds for kinds in shown)
    assert 2 == sum("image/png" in kinds for kinds in shown)
