"""What the documentation promises exists, and what exists is documented."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.registry import Registry
from edge_ood.scores import DEFAULT_HEADS
from edge_ood.scores import HEADS as HEAD_REGISTRY

ROOT = Path(__file__).parents[2]
PAGES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "exported/README.md"),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
)
HEADS = HEAD_REGISTRY.names()
OBJECTIVES = Registry("edge_ood.objectives", kind="", attribute="", separator="-").names()
FAMILY_FILES = Registry("edge_ood.models", kind="", attribute="").names()
LONGEST_PAGE_LINES = {"README.md": 120, "CONTRIBUTING.md": 80}
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # a group


def page_text(page: str) -> str:
    """A page of the documentation."""
    return (ROOT / page).read_text("utf-8")


def block_lines(text: str) -> Iterator[str]:
    """Lines of Markdown code blocks, fenced or indented, with continuation lines joined."""
    fenced = False
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip().removeprefix("$ ")


def quoted_in_blocks(page: str, program: str) -> list[list[str]]:
    """Arguments of each line of a code block that runs the program, comments and pipes cut off."""
    found = []
    for line in block_lines(page_text(page)):
        if line.startswith(f"{program} "):
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = list(itertools.takewhile(lambda word: word[0] not in "|&;<>", lexer))
            found.append(words[1:])
    return found


def quoted_inline(page: str, program: str) -> list[list[str]]:
    """Arguments of each mention such as `program word --option` within a sentence."""
    mentions = re.findall(rf"`{program} ([^`]+)`", page_text(page))
    return [mention.split() for mention in mentions]


def option_names(command: Any) -> set[str]:
    """Every spelling of every option that a command has."""
    return {name for parameter in command.params for name in parameter.opts} | {"-h", "--help"}


def words_of_help(command: str, option: str) -> set[str]:
    """The words, dashes included, that describe one option."""
    parameter = next(p for p in COMMANDS[command].params if option in p.opts)
    return set(re.findall(r"[\w-]+", parameter.help))


def examples(command: Any) -> list[list[str]]:
    """The words of every `Example: edge-ood ...` in a command's help."""
    help_text = re.sub(r"\\\n\s*", " ", command.help or "")
    lines = re.findall(r"Example: (edge-ood .*)$", help_text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


def check_parses(words: list[str]) -> None:
    """Let the command line itself parse the words; nothing is run."""
    name, *arguments = words
    COMMANDS[name].make_context(name, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str) -> None:
    """The help opens with one sentence."""
    first_line = (COMMANDS[name].help or "").splitlines()[0]

    assert re.fullmatch(r"[A-Z].*\.", first_line)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    """No option or argument stands in the help without words."""
    silent = [p.name for p in COMMANDS[name].params if not p.help and p.name != "help"]

    assert [] == silent


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_of_itself(name: str) -> None:
    """The help ends with lines to paste, and the parser takes them."""
    found = examples(COMMANDS[name])

    assert {name} == {words[0] for words in found}
    for words in found:
        check_parses(words)


@pytest.mark.parametrize("page", PAGES)
def test_quoted_command_lines_parse(page: str) -> None:
    """Every `edge-ood` line of a code block is complete and has only options that exist."""
    for words in quoted_in_blocks(page, "edge-ood"):
        if words not in (["--help"], ["--version"]):
            check_parses(words)


@pytest.mark.parametrize("page", PAGES)
def test_mentioned_commands_exist(page: str) -> None:
    """A command or option named within a sentence exists."""
    for words in quoted_inline(page, "edge-ood"):
        options = {word.partition("=")[0] for word in words if word.startswith("-")}
        placeholder = words[0].isupper() or words[0].startswith("-")
        command = get_command(app) if placeholder else COMMANDS[words[0]]
        assert options <= option_names(command), words


@pytest.mark.parametrize("page", PAGES)
def test_quoted_make_targets_exist(page: str) -> None:
    """Every `make` line names a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    lines = quoted_in_blocks(page, "make") + quoted_inline(page, "make")
    named = {word for words in lines for word in words if word.isidentifier()}

    assert set() == named - targets


@pytest.mark.parametrize(("page", "longest"), LONGEST_PAGE_LINES.items())
def test_pages_stay_short(page: str, longest: int) -> None:
    """A newcomer reads the page in one sitting."""
    assert len(page_text(page).splitlines()) <= longest


@pytest.mark.parametrize("target", ["demo", "test"])
def test_readme_shows_the_two_commands(target: str) -> None:
    """The README opens the door: `make demo` and `make test`, ready to paste."""
    assert [target] in quoted_in_blocks("README.md", "make")


def test_readme_lists_the_default_heads() -> None:
    """Its table has every head that a file gets where nobody chose, and none that is not there."""
    listed = set(re.findall(r"^\| `(\w+)` \|", page_text("README.md"), re.MULTILINE))

    assert {*DEFAULT_HEADS, "odin"} <= listed
    assert set() == listed - {*HEADS}


@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_listed_with_its_source(name: str) -> None:
    """`edge-ood heads` names each head and the paper it comes from."""
    listed = CliRunner().invoke(app, ["heads"]).stdout
    rows = [line for line in listed.splitlines() if line.startswith(f"{name} ")]

    assert [True] == [HEAD_REGISTRY.get(name).source in row for row in rows]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_in_the_help(name: str) -> None:
    """`edge-ood train --help` names each way to train."""
    assert name in words_of_help("train", "--objective")


@pytest.mark.parametrize("name", FAMILY_FILES)
def test_every_model_family_is_in_the_help(name: str) -> None:
    """`edge-ood train --help` names the file of each family, without an edit of its own."""
    assert set(name.split("_")) <= words_of_help("train", "--model")
