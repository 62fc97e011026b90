"""The page that shows how to add a head: its two files work as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_ood.scores import HEADS

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "tests" / "scores" / "test_contract.py"

# The package finds a file in a second folder as it finds its own.
RUN = """
import sys
from pathlib import Path
import pytest
import edge_ood.scores
from edge_ood.cli.app import app

edge_ood.scores.__path__.append(sys.argv[1])
status = pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[2:]])
if status:
    sys.exit(status)
app(["heads"])
"""


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    """The Python code of the page: the head, and its test."""
    page = (ROOT / "docs" / "add-a-head.md").read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def name() -> str:
    """The head's name: that of the file in which the page has it."""
    page = (ROOT / "docs" / "add-a-head.md").read_text("utf-8")
    (found,) = set(re.findall(r"^The file `edge_ood/scores/(\w+)\.py`", page, re.MULTILINE))
    assert f"`tests/scores/test_{found}.py`" in page
    return found


def run(
    folder: Path, name: str, head: str, test: str, chosen: str
) -> subprocess.CompletedProcess[str]:
    """Tests of the contract suite and of the page, chosen by name, then `edge-ood heads`."""
    package = folder / "scores"
    package.mkdir()
    (package / f"{name}.py").write_text(head, "utf-8")
    (folder / f"test_{name}.py").write_text(test, "utf-8")
    command = [sys.executable, "-Ic", RUN, package, CONTRACT, folder / f"test_{name}.py"]
    options = ["-k", chosen, f"--rootdir={ROOT}", f"-c{ROOT / 'pyproject.toml'}"]
    return subprocess.run([*command, *options], capture_output=True, text=True, cwd=folder)


def test_the_example_is_no_head_of_the_project(name: str) -> None:
    """Its name is free, so that a reader can follow the page to the letter."""
    assert name.startswith("my_")
    assert name not in HEADS.names()


def test_the_head_of_the_page_keeps_the_contract(
    tmp_path: Path, name: str, blocks: list[str]
) -> None:
    """With no other edit the file passes every test that heads have, and the command lists it."""
    pytest.importorskip("torch")
    head, test = blocks

    done = run(tmp_path, name, head, test, name)

    assert 0 == done.returncode, done.stdout
    assert re.search(r"\b\d\d passed", done.stdout)
    assert re.search(rf"^{name} +logits +-", done.stdout, re.MULTILINE)


def test_the_test_of_the_page_finds_a_wrong_sign(
    tmp_path: Path, name: str, blocks: list[str]
) -> None:
    """Neither the suite nor the page's own test passes for the sake of passing."""
    head, test = blocks

    wrong = head.replace("return -", "return ")
    done = run(tmp_path, name, wrong, test, f"{name} and (by_hand or score_higher)")

    assert 1 == done.returncode
    assert "FAILED" in done.stdout
    assert "test_by_hand" in done.stdout
    assert "test_ood_images_score_higher" in done.stdout
