"""Scores for eyes: as text, as a table of a notebook, and as a sheet of pictures."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from edge_ood.errors import InputError
from edge_ood.files.plain_table import format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from PIL import Image

    from edge_ood.artifact.outputs import Scores

__all__ = ["scores_html", "scores_line", "scores_sheet", "scores_text"]

_MOST_ROWS = 10


def scores_line(scores: "Scores") -> str:
    """How many images, how many of them flagged, and the heads."""
    flagged, heads = int(scores.is_ood.sum()), ", ".join(scores.scores)
    return f"Scores({_images(len(scores))}, {flagged} flagged, heads {heads})"


def scores_text(scores: "Scores") -> str:
    """The first images with all columns of a score table, and how many are flagged."""
    columns = scores.to_dict()
    more = _more(len(scores), _MOST_ROWS)
    table = format_table(list(columns), _rows(columns))
    return "\n".join([table, *more, _flagged(scores)])


def scores_html(scores: "Scores") -> str:
    """The first images with label, decision, p-value and score of each head; flagged ones bold."""
    from edge_ood.files.html_table import html_table  # noqa: PLC0415  # as below

    own = ("path", "label", "is_ood", "pvalue", *scores.scores)
    columns = {name: values for name, values in scores.to_dict().items() if name in own}
    marked = [i for i, is_ood in enumerate(scores.is_ood[:_MOST_ROWS]) if is_ood]
    notes = [*_more(len(scores), _MOST_ROWS), _flagged(scores)]
    left = 1 + bool(scores.paths)
    return html_table(list(columns), _rows(columns), marked=marked, left=left, notes=notes)


def scores_sheet(scores: "Scores", most: int) -> "Image.Image":
    """The first images in frames, with label, decision and p-value below them.

    Raises:
        InputError: If `most` is less than 1, or the images are not kept.
    """
    # Imported by whoever wants to see pictures: scoring draws none.
    from edge_ood.images.contact_sheet import Tile, contact_sheet, picture_of  # noqa: PLC0415

    if most < 1:
        raise InputError(f"{most} images to show, expected 1 or more")
    sources: tuple[Any, ...] = scores.paths or scores.images
    if len(sources) < len(scores):
        raise InputError(
            f"cannot show {_images(len(scores))}: this result does not keep them",
            hint="show() before pickling what scorer(images) gives; score_arrays keeps none",
        )
    tiles = [
        Tile(
            picture_of(source),
            (verdict.label, f"{'OOD' if verdict.is_ood else 'ID'}, p = {verdict.pvalue:.3g}"),
            is_marked=verdict.is_ood,
        )
        for source, verdict in zip(sources[:most], scores, strict=False)
    ]
    return contact_sheet(tiles, ", ".join([*_more(len(scores), most), _flagged(scores)]))


def _rows(columns: Mapping[str, list[Any]]) -> list[list[str]]:
    cells: Iterable[tuple[Any, ...]] = zip(
        *(values[:_MOST_ROWS] for values in columns.values()), strict=True
    )
    return [[_cell(value) for value in row] for row in cells]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def _flagged(scores: "Scores") -> str:
    return f"{int(scores.is_ood.sum())} of {len(scores)} flagged as out-of-distribution"


def _more(n: int, shown: int) -> list[str]:
    return [f"{n - shown} more"] if n > shown else []


def _images(n: int) -> str:
    return "1 image" if n == 1 else f"{n} images"
