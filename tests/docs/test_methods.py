"""The page of methods has a section for everything that the code computes, with its source."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_ood
from edge_ood.registry import Registry
from edge_ood.scores import DEFAULT_HEADS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "methods.md").read_text("utf-8")
PACKAGE = Path(edge_ood.__file__).parent
REGISTRIES = {
    "scores": Registry("edge_ood.scores", kind="", attribute=""),
    "objectives": Registry("edge_ood.objectives", kind="", attribute="", separator="-"),
    "corruptions": Registry("edge_ood.corruptions", kind="", attribute="", separator="-"),
    "synthetic": Registry("edge_ood.synthetic", kind="", attribute="", separator="-"),
}
FILES = [(folder, name) for folder, found in REGISTRIES.items() for name in found.names()]
VENUE = re.compile(r"Source: \D+ \d{4}, (CVPR|ICCSIP|ICLR) \(")  # papers that arXiv has not
EXPLAINED = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The page as it is built: files without a section get one from their docstring."""
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "_ext"))
        import registries  # type: ignore[import-not-found]

        source = [PAGE]
        registries._fill(None, "methods", source)
        yield source[0]
        sys.modules.pop("registries")


def section(page: str, name: str) -> str:
    """The text below the heading of this name, up to the next heading; empty if there is none."""
    found = re.search(rf"^### `{name}`\n(.*?)(?=^#|\Z)", page, re.M | re.S)
    return found[1] if found else ""


def test_what_is_explained_is_there() -> None:
    """No section outlives its file, and what files have by default is explained in words."""
    assert {"combined", *(name for _, name in FILES)} >= set(EXPLAINED)
    assert set(DEFAULT_HEADS) <= set(EXPLAINED)


def test_other_files_have_a_place() -> None:
    """Where the page is silent about a file of a registry, its docstring comes in."""
    marks = re.findall(r"^<!-- other files: (\w+) -->$", PAGE, re.MULTILINE)

    assert ["heads", "objectives", "synthetic", "corruptions"] == marks


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_is_explained_has_a_formula(name: str) -> None:
    """As users look for it."""
    assert "\n$$\n" in section(PAGE, name)


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_every_file_has_a_section_with_the_sources_of_its_code(
    page: str, folder: str, name: str
) -> None:
    """A new file is explained where users look it up; papers that it cites are one click away."""
    code = (PACKAGE / folder / f"{name.replace('-', '_')}.py").read_text("utf-8")
    cited = set(re.findall(r"arXiv:(\d{4}\.\d{5})", code))
    linked = set(re.findall(r"https://arxiv\.org/abs/(\d{4}\.\d{5})", section(page, name)))

    text = section(page, name)
    assert cited or "Source: this project" in text or VENUE.search(text)
    assert cited <= linked
