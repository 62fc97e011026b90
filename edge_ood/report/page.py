r"""Pages: one self-contained HTML file each, without scripts, from the templates beside this file.

Nothing that a template puts out can leave its place: autoescape is on, control characters and
marks that turn the direction of text stand as `\x1b` or `\u202e`, and what is not defined is an
error. `macros.html` has the parts of a page, `base.html` what surrounds them.
"""

from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ood.errors import MissingDependencyError
from edge_ood.files.output import atomic_output
from edge_ood.files.regular import open_regular
from edge_ood.files.text import printable
from edge_ood.report import numbers
from edge_ood.report.identifiers import identifier
from edge_ood.report.palette import PALETTE

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["environment", "is_page", "render", "write_page"]

_GENERATOR = '<meta name="generator" content="edge-ood '
_HEAD_BYTES = 4000


def render(template: str, **context: Any) -> str:
    """A page as HTML.

    Args:
        template: Name of a file in `templates/` that extends `base.html`.
        context: What it shows; figures are `Markup`, any other text is escaped.

    Raises:
        MissingDependencyError: If Jinja2 is not installed.
    """
    return environment().get_template(template).render(context)


def write_page(path: Path, html: str) -> None:
    """Write a page; whoever reads the file meanwhile sees the old one or the whole new one.

    Raises:
        DataError: If it cannot be written.
    """
    with atomic_output(path) as temporary:
        temporary.write_text(html, "utf-8", newline="\n")


def is_page(path: Path) -> bool:
    """Whether a file is a page that edge-ood made, of whatever version."""
    try:
        with open_regular(path) as stream:
            return _GENERATOR.encode() in stream.read(_HEAD_BYTES)
    except OSError:
        return False


@cache
def environment() -> "Environment":
    """The templates, with `identifier` and all of `edge_ood.report.numbers` as filters.

    Raises:
        MissingDependencyError: If Jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise MissingDependencyError("a page", "jinja2", "report") from error
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("edge_ood.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {name: getattr(numbers, name) for name in numbers.__all__}
    made.filters["identifier"] = identifier
    made.globals |= {"palette": PALETTE, "version": metadata.version("edge-ood")}
    return made


def _shown(value: Any) -> Any:
    """What is put out for a value of an expression in a template."""
    if hasattr(value, "__html__"):
        return value
    if isinstance(value, float):
        return numbers.number(value)
    return printable(value) if isinstance(value, str) else value
