"""What was found out about somebody else's classifier: each thing, how sure it is, and why."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_ood.files.plain_table import format_table
from edge_ood.foreign.conventions import ForeignClassifier
from edge_ood.foreign.id_images import IdFolders, IdImages
from edge_ood.foreign.trial import Trial
from edge_ood.graph.activations import described
from edge_ood.graph.endings import Ending
from edge_ood.graph.intake import ImageInput

__all__ = [
    "Inferred",
    "inferred_about",
    "inferred_classes",
    "inferred_from",
    "inferred_text",
    "stored",
]

_HEADINGS = ("", "what it is", "how sure", "by what")
_VALUE, _EVIDENCE = 23, 30
"""Widths of columns, so that a table fits 80 columns."""

_SHOWN_CLASSES = 3


@dataclass(frozen=True)
class Inferred:
    """One thing that had to be known.

    Attributes:
        what: Such as `pixels`.
        value: What it is.
        sure: `given` by its owner; `certain`, as the file says so; `measured` on labelled images;
            or `assumed`.
        evidence: By what: an option, a place in the file, numbers.
    """

    what: str
    value: str
    sure: str
    evidence: str


def inferred_about(
    source: ForeignClassifier,
    published: str,
    entry: ImageInput,
    tried: Trial,
    ending: Ending,
) -> list[Inferred]:
    """How the network takes its images and how it ends.

    Args:
        source: As its owner described it.
        published: What its maker's habits added to that, in words; empty where they did not.
        entry: Its input.
        tried: What came of trying it on images.
        ending: Its outputs.
    """
    return [*_of_input(source, published, entry, tried), *_of_output(source, tried, ending)]


def inferred_classes(
    folders: IdFolders, images: IdImages, tried: Trial, own: Sequence[str]
) -> Inferred:
    """What the classes are called, and in which order.

    Args:
        folders: Where the images, and perhaps a list of names, are.
        images: With class names.
        tried: What came of trying the network on them.
        own: The names that the file has in it.
    """
    names = images.classes
    shown = ", ".join(names[:_SHOWN_CLASSES]) + (", ..." if len(names) > _SHOWN_CLASSES else "")
    value = f"{len(names)}: {shown}"
    if folders.classes is not None:
        return Inferred("classes", value, "given", "--classes")
    if own == names:
        return Inferred("classes", value, "certain", "names in the file")
    if names == tuple(map(str, range(len(names)))):
        return Inferred("classes", value, "assumed", "their numbers; --classes FILE names them")
    if tried.accuracy is None:
        return Inferred("classes", value, "assumed", "the sorted class folders")
    return Inferred("classes", value, "measured", f"the sorted class folders: {tried.known}")


def inferred_text(rows: Sequence[Inferred]) -> str:
    """A table of at most 80 columns, apart from long words."""
    lines = [line for row in rows for line in _lines(row)]
    return format_table(_HEADINGS, lines, left=len(_HEADINGS))


def stored(rows: Sequence[Inferred]) -> dict[str, list[str]]:
    """Plain values for the metadata; `inferred_from` reads them back."""
    return {row.what: [row.value, row.sure, row.evidence] for row in rows}


def inferred_from(provenance: Mapping[str, Any]) -> list[Inferred]:
    """What an artefact's provenance says was found out; nothing where it is none or damaged."""
    found = provenance.get("inferred")
    items = found.items() if isinstance(found, Mapping) else ()
    return [
        Inferred(str(what), *map(str, parts))
        for what, parts in items
        if isinstance(parts, list) and len(parts) == len(_HEADINGS) - 1
    ]


def _of_input(
    source: ForeignClassifier, published: str, entry: ImageInput, tried: Trial
) -> Iterator[Inferred]:
    convention = tried.convention
    side = f"{entry.size_px} x {entry.size_px} px"
    declared = f"input {entry.name!r} {entry.described()}"
    yield Inferred("size", side, *_option("--image-size", source.size_px, "certain", declared))
    yield Inferred("layout", entry.layout, *_option("--layout", source.layout, "certain", declared))
    if entry.channels == 1:
        channels = ("certain", "its input has one channel")
    elif tried.accuracy is None:
        channels = ("assumed", "the usual order; --channels says another")
    else:
        channels = ("measured", tried.known)
    yield Inferred(
        "channels", convention.channels, *_option("--channels", source.channels, *channels)
    )
    if source.pixels or source.mean:
        pixels = ("given", "--pixels" if source.pixels else "--mean and --std")
    elif tried.pixels_by:
        pixels = ("measured", tried.pixels_by)
    elif published:
        pixels = ("assumed", published)
    else:
        pixels = ("certain", "an input of bytes")
    yield Inferred("pixels", convention.pixels, *pixels)
    compared = {each.option.strip("-"): each for each in tried.geometry}
    for name, given in (("crop", source.crop), ("interpolation", source.interpolation)):
        value = str(getattr(convention.preprocess, name))
        if name in compared:
            sure = ("measured" if compared[name].measured else "assumed", compared[name].evidence)
        else:
            sure = ("assumed", published or "what most networks take that are not ImageNet's")
        yield Inferred(name, value, *_option(f"--{name}", given, *sure))


def _of_output(source: ForeignClassifier, tried: Trial, ending: Ending) -> Iterator[Inferred]:
    shown = f"{ending.output!r} (N, {ending.width})"
    yield Inferred("output", shown, *_option("--logits", source.logits, "certain", "the file"))
    if ending.steps:
        by = f"the file; its logits, {ending.logits!r}, give it on real images"
        yield Inferred("ends in", described(ending.steps), "certain", by)
    elif tried.gives == "logits" and ending.is_linear:
        yield Inferred("ends in", "logits", "certain", "a linear layer gives them")
    else:
        by = f"its rows for {len(tried.rows)} images"
        yield Inferred("ends in", tried.gives, "measured", by)
    found = ("certain", "the last linear layer reads it")
    if not ending.features:
        yield Inferred("features", "none", "certain", ending.no_features)
    else:
        shown = ", ".join(ending.features.values())
        yield Inferred("features", shown, *_option("--features", source.features or None, *found))


def _option(name: str, value: object, sure: str, evidence: str) -> tuple[str, str]:
    """How sure, and by what: the option where it was given."""
    return (sure, evidence) if value is None else ("given", name)


def _lines(row: Inferred) -> Iterator[tuple[str, str, str, str]]:
    """A row of the table with its long cells folded."""
    values = textwrap.wrap(row.value, _VALUE) or [""]
    evidence = textwrap.wrap(row.evidence, _EVIDENCE) or [""]
    for i in range(max(len(values), len(evidence))):
        first = (row.what, row.sure) if i == 0 else ("", "")
        value, why = (cells[i] if i < len(cells) else "" for cells in (values, evidence))
        yield first[0], value, first[1], why
