"""Pages that are written from the code: the command line, and the files of the registries."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from edge_ood.cli.app import app
from edge_ood.registry import NonNegative, Registry, bind_parameters
from edge_ood.scores import HEADS, ScoreHead

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # a group


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script that writes `cli.md`."""
    monkeypatch.syspath_prepend(str(DOCS))
    import write_cli_reference  # type: ignore[import-not-found]

    yield write_cli_reference
    sys.modules.pop("write_cli_reference")


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The extension that fills the pages of the registries."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    import registries  # type: ignore[import-not-found]

    yield registries
    sys.modules.pop("registries")


def test_the_reference_is_that_of_the_code(writer: ModuleType) -> None:
    """`docs/cli.md` says what the commands say; `make reference` writes it."""
    assert writer.reference() == writer.PAGE.read_text("utf-8"), "run 'make reference'"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_has_every_option(command: str) -> None:
    """No command is missing, and no spelling of any of its options and arguments."""
    _, found, section = (DOCS / "cli.md").read_text("utf-8").partition(f"\n## {command}\n")
    section = section.partition("\n## ")[0]

    assert found
    for parameter in COMMANDS[command].params:
        if parameter.param_type_name == "option":
            spellings = ", ".join([*parameter.opts, *parameter.secondary_opts])
            assert f"\n:::{{option}} {spellings}" in section


@pytest.mark.parametrize("between", [", ", " or "])
@pytest.mark.parametrize("registry", ["objectives", "models", "recipes"])
def test_the_reference_does_not_list_registered_names(
    writer: ModuleType, registry: str, between: str
) -> None:
    """A new file adds itself to a help text and to its own page; this page stays as it is."""
    names = Registry(f"edge_ood.{registry}", kind="", attribute="").names()

    found = writer._marked_up(f"One of {between.join(names)}; 'wrn-40-2'.")

    assert f"One of [listed with the {registry}]({registry}.md); `wrn-40-2`." == found


@pytest.mark.parametrize("name", HEADS.names())
def test_a_head_has_its_section(registries: ModuleType, name: str) -> None:
    """The page of the heads has each with all parameters and its source."""
    entries = registries.write_entries("heads")
    section = entries.partition(f"## {name}\n")[2].partition("\n## ")[0]

    assert all(f"- `{key}`, by default" in section for key in bind_parameters_of(name))
    assert "larger is more out-of-distribution" in section
    assert "\nSource: " in section


def bind_parameters_of(head: str) -> list[str]:
    """Names of a head's parameters."""
    return list(bind_parameters(HEADS.get(head).score, {}, owner=head))


@pytest.mark.parametrize(
    "registry", ["objectives", "models", "recipes", "synthetic", "corruptions"]
)
def test_every_file_of_a_registry_has_a_section(registries: ModuleType, registry: str) -> None:
    """As many sections as files, each with its source."""
    entries = registries.write_entries(registry)
    files = Registry(f"edge_ood.{registry}", kind="", attribute="").names()

    assert len(files) == entries.count("## ") == entries.count("\nSource: ")
    assert "by default `None`" not in entries


def test_a_section_says_what_the_file_says(
    registries: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docstrings become Markdown: summary, formula, reading, result, limits and source."""
    head = ScoreHead("doubt", ("logits", "features"), doubt, source="short")
    found = type("Found", (), {"names": lambda: ["doubt"], "get": lambda name: head})
    heads = (found, registries._SECTIONS["heads"][1])
    monkeypatch.setattr(registries, "_SECTIONS", {"heads": heads})

    assert (
        "## doubt\n\n"
        f"{__doc__}\n\n"
        "Half of `z`.\n\nIn two paragraphs.\n\n"
        "- Reads `logits` and `features`. Uses all of them.\n"
        "- Scores (N,); larger is more out-of-distribution.\n\n"
        "Parameters:\n\n- `factor`, by default `0.5`, 0 or more: Of z, on two lines.\n\n"
        "Source: Nobody 2020, eq. 1, on two lines."
    ) == registries.write_entries("heads")


def test_a_page_of_its_own_words_gets_what_it_is_silent_about(
    registries: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formula and source of a file without a section, papers as links; nothing of the others."""
    found = type("Found", (), {"names": lambda: ["doubt", "known"], "get": lambda name: doubt})
    formulas = {"heads": (found, lambda function: function, "heads.md")}
    monkeypatch.setattr(registries, "_FORMULAS", formulas)
    monkeypatch.setattr(doubt, "__doc__", "Half.\n\nSource: Nobody 2020, arXiv:2001.00001, eq. 1.")
    source = ["# Title\n\n### `known`\n\nIn words.\n\n<!-- other files: heads -->\n\nEnd\n"]

    registries._fill(None, "methods", source)

    assert (
        "# Title\n\n### `known`\n\nIn words.\n\n"
        "### `doubt`\n\nHalf.\n\n"
        "Source: Nobody 2020, [arXiv:2001.00001](https://arxiv.org/abs/2001.00001), eq. 1. "
        "[All about it](heads.md#doubt).\n\nEnd\n"
    ) == source[0]


def doubt(xp: Any, outputs: Any, statistics: Any, *, factor: NonNegative = 0.5) -> Any:
    """Half of `z`.

    In two paragraphs.

    Args:
        xp: Array namespace.
        outputs: Uses all of them.
        statistics: Unused.
        factor: Of z, on
            two lines.

    Returns:
        Scores (N,); larger is
        more out-of-distribution.

    Raises:
        ValueError: Never.

    Source: Nobody 2020, eq. 1,
    on two lines.
    """


def test_marks_of_a_page_are_filled(registries: ModuleType) -> None:
    """A mark on a line of its own becomes the entries; other text stays."""
    source = ["# Title\n\n<!-- registry: heads -->\n\nEnd\n"]

    registries._fill(None, "heads", source)

    assert f"# Title\n\n{registries.write_entries('heads')}\n\nEnd\n" == source[0]
