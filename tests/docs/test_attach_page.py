"""The page on attaching quotes what the code says, and only options that there are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

import edge_ood
from edge_ood import calibration
from edge_ood.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "attach.md").read_text("utf-8")
REFUSALS = re.findall(
    r"^\| `([^`]+)` \|", PAGE.partition("## What each refusal means")[2], re.MULTILINE
)
NUMBER_OR_NAME = "..."


def texts() -> Iterator[str]:
    """Every text in the sources, with `...` for what is put into it."""
    for package in (edge_ood, calibration):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else NUMBER_OR_NAME
                        for part in node.values
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


TEXTS = list(texts())


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_the_code_s(refusal: str) -> None:
    """Each line of the table stands in the sources, word for word, names and numbers aside."""
    pattern = re.compile(".*".join(map(re.escape, refusal.split(NUMBER_OR_NAME))), re.DOTALL)

    assert [text for text in TEXTS if pattern.search(text)]


def test_the_options_are_those_of_the_command() -> None:
    """Nothing that is typed on the page is refused as unknown."""
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group
    known = {
        name for each in ("attach", "export") for p in commands[each].params for name in p.opts
    }

    assert set() == set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) - known
