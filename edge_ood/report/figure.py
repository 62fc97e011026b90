"""Figures in one style: drawn by matplotlib, as SVG in a page or as files.

    with new_figure(3.6, 2.4) as figure:
        axes = figure.subplots()
        axes.stairs(fractions, edges, fill=True, color=ID_COLOUR)
    markup = svg(figure, name="scores", title="Scores", description="...")

Draw with the colours of `edge_ood.report.palette`: in a page they become its CSS variables, so
that a figure follows light and dark. Text stays text, in the page's font.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from edge_ood.errors import MissingDependencyError
from edge_ood.files.output import atomic_output
from edge_ood.files.text import printable
from edge_ood.report.identifiers import identifier
from edge_ood.report.palette import GRID, INK, MUTED, PALETTE, PAPER, SERIES

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

__all__ = ["label", "new_figure", "svg", "write_figure"]

_TEXT_PT = 9
_PNG_DPI = 200
_LONGEST_LABEL = 28
_POINTS_PER_INCH, _CSS_PX_PER_INCH = 72, 96
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": _TEXT_PT,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": _TEXT_PT,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.edgecolor": PAPER,
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so layouts are alike everywhere
    "font.size": _TEXT_PT,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.borderaxespad": 0.2,
    "legend.edgecolor": GRID,
    "legend.facecolor": PAPER,
    "legend.fontsize": _TEXT_PT,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a class name is a dollar
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": _TEXT_PT,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": _TEXT_PT,
}
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
_VARIABLES = {colour.light: f"var(--{name})" for name, colour in PALETTE.items()}
_COLOUR = re.compile("#[0-9a-f]{6}")
_FONT_FAMILY = re.compile(r"font-family: [^;]*;? ?")
_FRACTION = re.compile(r"-?\d+\.\d+")
_NO_ROTATION = re.compile(r"rotate\(-?0 [^)]*\)")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_MEASURES = ("d", "height", "points", "transform", "width", "x", "y")


@contextmanager
def new_figure(width_in: float, height_in: float) -> "Iterator[Figure]":
    """A figure to draw on, in inches; all that is drawn inside the block has the pages' style.

    About 3.6 inches fill the width of a phone, with text of 9 pt.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    with _styled():
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra

        yield Figure((width_in, height_in))


def label(name: str) -> str:
    """A name from outside as text for a figure: printable, of moderate length, never hidden.

    Figures show every name of a class, set, file or model through this.
    """
    text = printable(name)
    if len(text) > _LONGEST_LABEL:
        text = f"{text[: _LONGEST_LABEL // 2]}…{text[1 - _LONGEST_LABEL // 2 :]}"
    # A legend leaves out what begins with an underscore.
    return f" {text}" if text.startswith("_") else text


def svg(figure: "Figure", *, name: str, title: str, description: str) -> "Markup":
    """The figure as an SVG element to stand in a page.

    Args:
        figure: What to show.
        name: Unlike that of any other figure on the page; all its ids begin with it.
        title: What screen readers call it, in a few words.
        description: What is to be seen, for those who do not see it.

    Raises:
        MissingDependencyError: If Jinja2 is not installed.
    """
    try:
        from markupsafe import Markup  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise MissingDependencyError("a page", "jinja2", "report") from error

    root = ElementTree.fromstring(_drawn_svg(figure))
    for element in root.iter():
        _strip_namespaces(element)
    _drop_style(root)
    prefix = f"figure-{identifier(name)}"
    _limit_ids(root, prefix)
    for element in root.iter():
        _lighten(element)
    _describe(root, prefix, title, description)
    width, height = (_CSS_PX_PER_INCH * side for side in figure.get_size_inches())
    root.attrib |= {"width": f"{width:.0f}", "height": f"{height:.0f}"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # built above


def write_figure(figure: "Figure", folder: Path, name: str) -> None:
    """Write `NAME.png` and `NAME.svg`, in light colours; files that are there are replaced.

    Raises:
        DataError: If the folder cannot be written.
    """
    with atomic_output(folder / f"{name}.png") as path, _styled():
        figure.savefig(path, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    with atomic_output(folder / f"{name}.svg") as path:
        path.write_text(_drawn_svg(figure), "utf-8")


@contextmanager
def _styled(**settings: Any) -> Iterator[None]:
    """Matplotlib in our style; the user's own settings are back afterwards."""
    try:
        import matplotlib as mpl  # noqa: PLC0415  # an extra
        from cycler import cycler  # noqa: PLC0415  # comes with it
    except ImportError as error:
        raise MissingDependencyError("drawing", "matplotlib", "report") from error
    style: Any = {**_STYLE, "axes.prop_cycle": cycler(color=SERIES), **settings}
    with mpl.rc_context(), warnings.catch_warnings():
        # A browser has fonts for every script; Matplotlib's measures the text, that is all.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update(style)
        yield


def _drawn_svg(figure: "Figure") -> str:
    """What matplotlib writes, the same for the same figure."""
    stream = io.StringIO()
    # The salt makes ids, which otherwise are random.
    with _styled(**{"svg.fonttype": "none", "svg.hashsalt": "edge-ood"}):
        figure.savefig(stream, format="svg", metadata=_NO_METADATA)
    return stream.getvalue()


def _strip_namespaces(element: ElementTree.Element) -> None:
    """HTML knows SVG's elements without them."""
    element.tag = element.tag.rpartition("}")[2]
    for name in [name for name in element.attrib if "}" in name]:
        element.set(name.rpartition("}")[2], element.attrib.pop(name))


def _drop_style(root: ElementTree.Element) -> None:
    """In a page, matplotlib's style sheet would hold for everything; `style.css` has it instead."""
    for parent in root.findall("defs"):
        if parent.find("style") is not None:
            root.remove(parent)


def _limit_ids(root: ElementTree.Element, prefix: str) -> None:
    """Keep the ids that something refers to, numbered after the prefix."""
    markup = ElementTree.tostring(root, encoding="unicode")
    used = dict.fromkeys(re.findall(r'(?:url\(|href=")#([^)"]*)', markup))
    names = {old: f"{prefix}-{index}" for index, old in enumerate(used)}
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in names:
            element.set("id", names[own])
        for key, value in element.attrib.items():
            if key == "href":
                element.set(key, f"#{names[value[1:]]}")
            elif "url(" in value:
                element.set(key, _REFERENCE.sub(lambda m: f"url(#{names[m[1]]})", value))


def _lighten(element: ElementTree.Element) -> None:
    """Tenths of a point, no line breaks, no empty groups, the page's font and colours."""
    if _NO_ROTATION.fullmatch(element.get("transform", "")):
        del element.attrib["transform"]
    for key in _MEASURES:
        if key in element.attrib:
            short = _FRACTION.sub(lambda m: f"{round(float(m[0]), 1):g}", element.attrib[key])
            element.set(key, " ".join(short.split()))
    if "style" in element.attrib:
        style = _FONT_FAMILY.sub("", element.attrib["style"])
        element.set("style", _COLOUR.sub(lambda m: _VARIABLES.get(m[0], m[0]), style))
    if element.tag != "text" and not (element.text or "").strip():
        element.text = None
    element.tail = None
    element[:] = [part for child in element for part in _unwrapped(child)]


def _unwrapped(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """What is in a group that says nothing about it; anything else as it is."""
    if element.tag != "g" or element.attrib:
        yield element
        return
    for child in element:
        yield from _unwrapped(child)


def _describe(root: ElementTree.Element, prefix: str, title: str, description: str) -> None:
    root.attrib.pop("version", None)
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{prefix}-title",
        "aria-describedby": f"{prefix}-desc",
    }
    for tag, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        element.text = printable(text)
        root.insert(0, element)
