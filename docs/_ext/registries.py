"""The files of the registries, written into the pages as these are built.

A page says `<!-- registry: heads -->`, and every file of that registry becomes a section there:
what it declares, what its docstrings say, its parameters and its source. So a new file has its
documentation, and no page goes stale. A page that explains the files in words of its own says
`<!-- other files: heads -->` where those come that it has no section for.
"""

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from docstrings import described, joined

from edge_ood.corruptions import CORRUPTIONS, STRENGTHS, Corruption
from edge_ood.models import FAMILIES, ModelFamily
from edge_ood.objectives import OBJECTIVES, Objective
from edge_ood.recipes import RECIPES, Recipe
from edge_ood.registry import Bound, bind_parameters
from edge_ood.scores import DEFAULT_HEADS, HEADS, ScoreHead
from edge_ood.synthetic import KINDS, Synthetic

_MARK = re.compile(r"^<!-- registry: ([\w-]+) -->$", re.MULTILINE)
_OTHERS = re.compile(r"^<!-- other files: ([\w-]+) -->$", re.MULTILINE)
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{5})")
_SECTION = re.compile(r"^(Args|Returns|Yields|Raises):$|^Source: ", re.MULTILINE)
_SOURCE = None  # what `_SECTION` captures there, as it has no name between its brackets
_MOST_EXAMPLES = 8


@dataclass(frozen=True)
class Docstring:
    """A docstring of the project, taken apart.

    Attributes:
        text: What comes before the sections.
        arguments: Descriptions by name.
        result: What is returned or yielded.
        source: Paper, equation, and what was changed.
    """

    text: str
    arguments: Mapping[str, str]
    result: str
    source: str

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Docstring":
        """The docstring of a function."""
        text, *rest = _SECTION.split(inspect.getdoc(function) or "")
        sections = dict(zip(rest[::2], rest[1::2], strict=True))
        arguments = described(sections.get("Args", ""))
        result = sections.get("Returns", sections.get("Yields", ""))
        return cls(text.strip(), arguments, joined(result), joined(sections.get(_SOURCE, "")))


def write_entries(registry: str) -> str:
    """Sections in Markdown, one for each file of a registry, in the order of their names."""
    found, section = _SECTIONS[registry]
    return "\n\n".join(section(found.get(name)) for name in found.names())


def write_others(registry: str, page: str) -> str:
    """Short sections in Markdown for the files that a page has no section for: formula and source.

    Args:
        registry: `heads`, `objectives`, `synthetic` or `corruptions`.
        page: The text of the page.
    """
    found, function, reference = _FORMULAS[registry]
    others = [name for name in found.names() if f"\n### `{name}`\n" not in page]
    return "\n\n".join(
        f"### `{name}`\n\n{words.text}\n\n"
        f"Source: {_ARXIV.sub(_link, words.source)} [All about it]({reference}#{name})."
        for name in others
        for words in [Docstring.of(function(found.get(name)))]
    )


def setup(app: Any) -> dict[str, bool]:
    """Fill the marks of a page when it is read."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app: Any, page: str, source: list[str]) -> None:
    text = source[0]
    text = _OTHERS.sub(lambda mark: write_others(mark[1], source[0]), text)
    source[0] = _MARK.sub(lambda mark: write_entries(mark[1]), text)


def _head(head: ScoreHead) -> str:
    words = Docstring.of(head.score)
    facts = [
        f"Reads {' and '.join(f'`{name}`' for name in head.inputs)}. {words.arguments['outputs']}",
        words.result,
    ]
    if head.fit is not None:
        facts.append("Fits statistics on training images.")
    if head.name in DEFAULT_HEADS:
        facts.append("Default: files have it without `--scores`.")
    if head.perturbation is not None:
        facts.append("Can read the image after a step against the gradient of a loss.")
    return _section(head.name, head.score, words.text, facts)


def _objective(objective: Objective) -> str:
    defaults = bind_parameters(objective.losses, {}, owner=objective.name)
    needs = objective.needs(**defaults)
    asked = [f"`--{folder} DIR`" for folder in sorted(needs.folders)]
    asked = [*asked[:-1], f"{asked[-1]} or `--outliers self`"] if needs.virtual else asked
    asked += [f"`--heads {needs.heads}`"] if needs.heads > 1 else []
    asked += [f"`--from RUN` or parameters such as `{needs.trained}`"] if needs.trained else []
    words = Docstring.of(objective.losses)
    facts = [f"Needs {' and '.join(asked)}."] if asked else []
    return _section(objective.name, objective.losses, words.text, [*facts, words.result])


def _family(family: ModelFamily) -> str:
    shown = [f"`{name}`" for name in family.examples[:_MOST_EXAMPLES]]
    rest = len(family.examples) - len(shown)
    shown += [f"and {rest} more"] if rest else []
    return _section(f"`{family.pattern}`", family.trunk, "", [f"Names: {', '.join(shown)}."])


def _recipe(recipe: Recipe) -> str:
    needs = [f"`--from RUN` of [{recipe.starts_from}](#{recipe.starts_from})"]
    needs = needs if recipe.starts_from else []
    needs += ["`--outliers DIR`"] if recipe.needs_outliers else []
    rows = [
        f"| `{name}` | `{_plain(cited.value)}` | {_cell(cited.source)} |"
        for name, cited in recipe.options.items()
    ]
    blocks = [
        f"## {recipe.name}",
        f"{recipe.summary}. Needs {' and '.join(needs) or 'nothing but training images'}.",
        "\n".join(["| setting | value | where it stands |", "| --- | --- | --- |", *rows]),
        "What differs from the source:" if recipe.deviations else "",
        _bullets([f"{_escaped(deviation)}." for deviation in recipe.deviations]),
        f"Source: {_escaped(recipe.source)}.",
    ]
    return "\n\n".join(block for block in blocks if block)


def _synthetic(kind: Synthetic) -> str:
    words = Docstring.of(kind.make)
    made_of = {0: "noise", 1: "one ID image", 2: "two ID images"}[kind.n_sources]
    group = f"; by itself in the group `{kind.group}`" if kind.group else ""
    facts = [f"Each image is made from {made_of}{group}.", words.result]
    return _section(kind.name, kind.make, words.text, facts)


def _corruption(corruption: Corruption) -> str:
    words = Docstring.of(corruption.corrupt)
    head = ["side in pixels", *(f"strength {strength}" for strength in STRENGTHS)]
    rows = [head, ["---"] * len(head)]
    rows += [[f"from {side}", *map(str, row)] for side, row in corruption.constants.items()]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    stretched = ", and grows with the side from there on" if corruption.is_length else ""
    facts = [f"The constant is the {corruption.unit}{stretched}.", words.result]
    text = f"{words.text}\n\n{table}"
    return _section(corruption.name, corruption.corrupt, text, facts)


_SECTIONS: Mapping[str, tuple[Any, Callable[[Any], str]]] = {
    "heads": (HEADS, _head),
    "objectives": (OBJECTIVES, _objective),
    "models": (FAMILIES, _family),
    "recipes": (RECIPES, _recipe),
    "synthetic": (KINDS, _synthetic),
    "corruptions": (CORRUPTIONS, _corruption),
}

_FORMULAS: Mapping[str, tuple[Any, Callable[[Any], Callable[..., Any]], str]] = {
    "heads": (HEADS, lambda head: head.score, "heads.md"),
    "objectives": (OBJECTIVES, lambda objective: objective.losses, "objectives.md"),
    "synthetic": (KINDS, lambda kind: kind.make, "synthetic-images.md"),
    "corruptions": (CORRUPTIONS, lambda corruption: corruption.corrupt, "corruptions.md"),
}
"""What has a formula: the function with its docstring, and the page where all is."""


def _section(title: str, function: Callable[..., Any], text: str, facts: list[str]) -> str:
    """A heading, the docstring of the file, text, facts, parameters and the source."""
    words = Docstring.of(function)
    file = inspect.getdoc(sys.modules[function.__module__]) or ""
    parameters = [
        f"`{p.name}`{_default(p)}{_limits(p)}: {words.arguments.get(p.name, '')}"
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]
    blocks = [
        f"## {title}",
        file,
        text,
        _bullets(facts),
        f"Parameters:\n\n{_bullets(parameters)}" if parameters else "",
        f"Source: {words.source}",
    ]
    return "\n\n".join(block for block in blocks if block)


def _link(number: re.Match[str]) -> str:
    return f"[{number[0]}](https://arxiv.org/abs/{number[1]})"


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is None else f", by default `{parameter.default}`"


def _limits(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if get_origin(annotation) is Literal:
        return f", one of {', '.join(f'`{value}`' for value in get_args(annotation))}"
    bounds = [b for b in getattr(annotation, "__metadata__", ()) if isinstance(b, Bound)]
    return "".join(f", {bound}" for bound in bounds)


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _cell(text: str) -> str:
    return _escaped(text).replace("|", r"\|")


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*<\[\]{$])", r"\\\1", text)
