"""The page of `edge-ood score --gallery`: the most suspicious images as thumbnails."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import NamedTuple

from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.outputs import Row
from edge_ood.files.paths import path_of, shown_path
from edge_ood.files.stored import AnyImage
from edge_ood.report import numbers
from edge_ood.report.page import render
from edge_ood.report.thumbnails import Thumb, thumbnail
from edge_ood.tables.formats import SavedRow
from edge_ood.threads import ordered_map

__all__ = ["Gallery"]

_SIDE_PX = 144
_OK = "ok"


class _Suspect(NamedTuple):
    """A scored image; `file` is None where only its path in a table is known."""

    path: str
    file: AnyImage | None
    label: str
    is_ood: bool
    pvalue: float
    score: float


class Gallery:
    """Keeps the most suspicious of any number of images: those with the smallest p-values.

    Of equal p-values the larger score of the primary head comes first, then the earlier image. Of
    the files without a score, the first are kept.

    Args:
        metadata: Of the artefact that scores them.
        size: How many images to keep at most, and how many files without a score.

    Attributes:
        metadata: As above.
        shown: How many images are kept.
    """

    def __init__(self, metadata: Metadata, size: int) -> None:
        self.metadata = metadata
        self._size = size
        # A heap whose first item is the least suspicious.
        self._kept: list[tuple[float, float, int, _Suspect]] = []
        self._problems: list[tuple[str, str, str]] = []
        self._statuses: Counter[str] = Counter()
        self._flagged = 0

    @property
    def shown(self) -> int:
        """See the class."""
        return len(self._kept)

    def add(self, row: Row) -> None:
        """Look at an image that was just scored."""
        values, path = row.values, shown_path(row.path)
        self._count(row.status, bool(values.get("is_ood")))
        if row.status != _OK:
            self._add_problem(path, row.status, row.error)
            return
        pvalue, score = float(values["pvalue"]), float(values[self.metadata.primary])
        self._add(_Suspect(path, row.path, values["label"], values["is_ood"], pvalue, score))

    def take_over(self, row: SavedRow) -> None:
        """Look at what an earlier run left."""
        self._count(row.status, row.is_ood)
        pvalue, score = row.number("pvalue"), row.number(self.metadata.primary)
        index, classes = row.number("label_index"), self.metadata.classes
        if math.isnan(pvalue + score) or not 0 <= index < len(classes):
            self._add_problem(row.path, row.status, row.cells["error"] or "")
            return
        # Not the label in the table: CSV guards names that begin like a formula.
        label = classes[int(index)]
        self._add(_Suspect(row.path, None, label, row.is_ood, pvalue, score))

    def page(
        self, *, artifact: str, guarantee: str, on_picture: Callable[[], None] = lambda: None
    ) -> str:
        """The page as HTML; only now the images are read.

        Args:
            artifact: What the page calls the artefact.
            guarantee: What its calibration guarantees, in lines.
            on_picture: Called after each image, to show progress.

        Raises:
            MissingDependencyError: If Jinja2 is not installed.
        """
        ranked = [suspect for *_, suspect in sorted(self._kept, reverse=True)]
        folder = _common_folder([suspect.path for suspect in ranked])
        thumbs = []
        for suspect, image in zip(ranked, ordered_map(_picture, ranked), strict=True):
            thumbs.append(self._thumb(suspect, image, folder))
            on_picture()
        return render(
            "gallery.html",
            artifact=artifact,
            guarantee=guarantee.splitlines(),
            primary=self.metadata.primary,
            folder=folder,
            flagged=[thumb for thumb in thumbs if thumb.is_marked],
            accepted=[thumb for thumb in thumbs if not thumb.is_marked],
            n_files=self._statuses.total(),
            n_scored=self._statuses[_OK],
            n_flagged=self._flagged,
            statuses=sorted((s, n) for s, n in self._statuses.items() if s != _OK),
            problems=self._problems,
        )

    def _count(self, status: str, is_ood: bool) -> None:
        self._statuses[status] += 1
        self._flagged += is_ood

    def _add(self, suspect: _Suspect) -> None:
        item = (-suspect.pvalue, suspect.score, -self._statuses.total(), suspect)
        keep = heapq.heappush if len(self._kept) < self._size else heapq.heappushpop
        keep(self._kept, item)

    def _add_problem(self, path: str, status: str, error: str) -> None:
        if len(self._problems) < self._size:
            self._problems.append((path, status, error))

    def _thumb(self, suspect: _Suspect, image: str | None, folder: str) -> Thumb:
        lines = (
            suspect.label,
            f"p = {numbers.pvalue(suspect.pvalue)}",
            f"{self.metadata.primary} {numbers.number(suspect.score)}",
            suspect.path.removeprefix(folder),
        )
        return Thumb(image, suspect.path, lines, is_marked=suspect.is_ood)


def _picture(suspect: _Suspect) -> str | None:
    return thumbnail(suspect.file or path_of(suspect.path), side_px=_SIDE_PX)


def _common_folder(paths: Sequence[str]) -> str:
    """The longest folder that all of them lie in, with its last slash; empty if there is none."""
    levels = zip(*(path.split("/")[:-1] for path in paths), strict=False)
    common = takewhile(lambda names: len(set(names)) == 1, levels)
    return "/".join([*(names[0] for names in common), ""])
