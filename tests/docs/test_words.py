"""Pages and messages have one word for each thing, and it is the field's; `docs/glossary.md`."""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("edge_ood", "edge_ood.calibration", "edge_ood.cli")
"""Packages whose strings and templates are read, wherever they are installed."""

PAGES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "exported/README.md"),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "benchmarks").rglob("*.md"))),
)

BANNED = {
    r"spoil\w*": "corrupt, corruption",
    r"made (?:images?|ones|sets?)": "synthetic images",
    r"made by a computer": "synthetic",
    r"twins?": "fp32 reference",
    r"guess\w*": "chance level",
    r"foreign(?! classifiers?\b)": "OOD; foreign is somebody else's classifier",
    r"(?:un)?known (?:\w+ )?(?:images?|ones?|class(?:es)?|scores?)": "ID images, OOD images",
    r"seen (?:before|images?)": "overlap of training and test images",
    r"thresholds? of (?:your|one's|the user's|a user's) own": "manual threshold",
    r"promises?": "guarantee; a rate may be promised",
    r"ours|not as we write": "not written by edge-ood, of this project",
    r"stranger|strange|familiar\w*": "larger score, more out-of-distribution",
}
"""What is not written, and what is written in its place."""

ALLOWED = {
    ("edge_ood/graph/adopt.py", "foreign"): "the prefix of names in artefacts of such classifiers",
    ("benchmarks/promises.py", "promise"): "what lines of benchmarks begin with",
}
"""By file and phrase, why it stays all the same."""

EXAMPLES = (
    "blur spoils images",
    "a kind of made images",
    "all were made by a computer",
    "its twin in fp32",
    "no better than guessing",
    "a foreign image",
    "known images",
    "unknown test images",
    "images seen before",
    "a threshold of your own",
    "keeps its promise",
    "a file that is not ours",
    "the most familiar image",
)


def complaints(text: str) -> list[str]:
    """Every phrase of a text that is not the field's, with what to write instead."""
    spaced = " ".join(text.split())
    return [
        f"{match[0]!r}: write {instead}"
        for pattern, instead in BANNED.items()
        for match in re.finditer(rf"\b(?:{pattern})\b", spaced, re.IGNORECASE)
    ]


def prose(page: str) -> str:
    """Markdown without code: what programs print, and names, are not the page's words."""
    without_blocks = re.sub(r"^(```|:::).*?^\1$|^ {4}.*?$", "", page, flags=re.M | re.S)
    return re.sub(r"`[^`]*`", "", without_blocks)


def strings(source: str) -> Iterator[str]:
    """Docstrings, messages and all other strings of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def texts() -> Iterator[tuple[str, str]]:
    """All that is read: names of files with their text."""
    for page in PAGES:
        yield page, prose((ROOT / page).read_text("utf-8"))
    for path in sorted((ROOT / "benchmarks").rglob("*.py")):
        yield str(path.relative_to(ROOT)), "\n".join(strings(path.read_text("utf-8")))
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        folder, name = Path(spec.origin).parent, package.replace(".", "/")
        for path in sorted(folder.rglob("*.py")):
            read = "\n".join(strings(path.read_text("utf-8")))
            yield f"{name}/{path.relative_to(folder)}", read
        for path in sorted(folder.rglob("*.html")):
            yield f"{name}/{path.relative_to(folder)}", path.read_text("utf-8")


TEXTS = dict(texts())


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_has_the_words_of_the_field(name: str) -> None:
    """Readers of papers on OOD detection find their own terms, on pages and in messages."""
    assert [] == [found for found in complaints(TEXTS[name]) if not is_allowed(name, found)]


def is_allowed(name: str, complaint: str) -> bool:
    """Whether a phrase of a file is in the list of those that stay."""
    return any(name == file and repr(phrase) in complaint for file, phrase in ALLOWED)


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_word_of_another_kind_is_found(text: str) -> None:
    """Each kind of private word, in a phrase as it once stood here."""
    assert 1 == len(complaints(text))


def test_every_private_word_has_an_example() -> None:
    """No pattern is in the list that would not find what it is for."""
    assert list(BANNED.values()) == list(
        dict.fromkeys(found.partition(": write ")[2] for x in EXAMPLES for found in complaints(x))
    )


def test_code_of_a_page_is_not_read() -> None:
    """Names, commands and their output stay; what stands around them is read."""
    page = (
        "made images\n\n```console\n$ known images\n```\n\n    foreign\n\nof `twin` and\nguesses\n"
    )

    assert ["made images", "guesses"] == [x.split("'")[1] for x in complaints(prose(page))]


def test_what_is_allowed_is_there() -> None:
    """An exception whose text was mended goes."""
    assert [] == [at for at in ALLOWED if at[1] not in " ".join(TEXTS[at[0]].split())]
