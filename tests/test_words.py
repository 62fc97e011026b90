"""One word for one thing, in the names of the code as on its pages."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("edge_ood", "edge_ood.calibration", "edge_ood.cli")
FIELDS = ("arg", "asname", "attr", "id", "name")
"""Where nodes of the syntax tree hold what somebody named."""


def modules() -> Iterator[Path]:
    """Every module of the packages, wherever they are installed."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        yield from Path(spec.submodule_search_locations[0]).rglob("*.py")


def names(path: Path) -> set[str]:
    """The identifiers of a module, its own name included."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    found = (getattr(node, field, None) for node in nodes for field in FIELDS)
    return {path.stem, *(name for name in found if isinstance(name, str))}


@pytest.mark.parametrize("word", ["artefact"])
def test_identifiers_have_one_spelling(word: str) -> None:
    """Code says `artifact`, as ONNX and Python do; prose says artefact."""
    found = {(path.name, name) for path in modules() for name in names(path)}

    assert len(found) > len(PACKAGES)
    assert set() == {(path, name) for path, name in found if word in name.lower()}
