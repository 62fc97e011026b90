"""The page of methods has a section for everything that the code computes, with its source."""

import re
from pathlib import Path

import pytest

import edge_ood
from edge_ood.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
PACKAGE = Path(edge_ood.__file__).parent
REGISTRIES = {
    "scores": Registry("edge_ood.scores", kind="", attribute=""),
    "objectives": Registry("edge_ood.objectives", kind="", attribute="", separator="-"),
    "corruptions": Registry("edge_ood.corruptions", kind="", attribute="", separator="-"),
    "synthetic": Registry("edge_ood.synthetic", kind="", attribute="", separator="-"),
}
FILES = [(folder, name) for folder, found in REGISTRIES.items() for name in found.names()]


def section(name: str) -> str:
    """The text below the heading of this name, up to the next heading; empty if there is none."""
    found = re.search(rf"^### `{name}`\n(.*?)(?=^#|\Z)", PAGE.read_text("utf-8"), re.M | re.S)
    return found[1] if found else ""


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_every_file_has_a_section_with_a_formula(folder: str, name: str) -> None:
    """A new score or objective is explained where users look it up."""
    assert "\n$$\n" in section(name)


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_every_section_links_the_sources_of_its_file(folder: str, name: str) -> None:
    """The papers that the code cites are one click away."""
    code = (PACKAGE / folder / f"{name.replace('-', '_')}.py").read_text("utf-8")
    cited = set(re.findall(r"arXiv:(\d{4}\.\d{5})", code))
    linked = set(re.findall(r"https://arxiv\.org/abs/(\d{4}\.\d{5})", section(name)))

    assert cited
    assert cited <= linked
