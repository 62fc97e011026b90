"""Counting a score table's rows as they go by."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import typer

from edge_ood.errors import DataError
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.artifact.outputs import Row
    from edge_ood.report.gallery import Gallery
    from edge_ood.tables.formats import SavedRow
    from edge_ood.tables.shards import Shard

__all__ = ["Tally"]

_OF_IMAGES = ("ok", "not-finite")


class Tally:
    """Counts what goes by: `flagged` is the number of images that were flagged as OOD.

    Args:
        gallery: Sees all that is counted.
    """

    def __init__(self, gallery: "Gallery | None" = None) -> None:
        self.flagged = 0
        self._gallery = gallery
        self._earlier = 0
        self._statuses: Counter[str] = Counter()
        self._started = time.monotonic()

    def watch(self, rows: "Iterable[Row]") -> "Iterator[Row]":
        for row in rows:
            self._statuses[row.status] += 1
            self.flagged += bool(row.values.get("is_ood"))
            if self._gallery is not None:
                self._gallery.add(row)
            yield row

    def take_over(self, rows: "Iterable[SavedRow]") -> None:
        """Count what an earlier run left."""
        for row in rows:
            self.take_over_row(row)

    def take_over_row(self, row: "SavedRow") -> None:
        self._earlier += 1
        self._statuses[row.status] += 1
        self.flagged += row.is_ood
        if self._gallery is not None:
            self._gallery.take_over(row)

    def check_images(self, shard: "Shard") -> None:
        """Refuse a whole run in which no file was an image; other shards may have some.

        Raises:
            DataError: If that is so.
        """
        if shard.count == 1 and not any(self._statuses[status] for status in _OF_IMAGES):
            raise DataError("not one of these files is an image", hint="their status says what is")

    def progress(
        self, rows: "Iterator[Row]", total: int | None
    ) -> "AbstractContextManager[Iterable[Row]]":
        """Pass the rows on under a progress bar with rate and time left."""
        bar = typer.progressbar(
            rows,
            length=total,
            label="scoring",
            show_pos=True,
            item_show_func=lambda row: self._rate() if row else None,
            file=sys.stderr,
        )
        bar.pos = self._earlier
        return bar

    def summary(self) -> str:
        """One line: how many, how they fared, how fast."""
        others = {s: n for s, n in sorted(self._statuses.items()) if s != "ok"}
        problems = "".join(f", {n} {printable(status)}" for status, n in others.items())
        fared = f"{self.flagged} flagged as out-of-distribution{problems}"
        total = self._statuses.total()
        if self._earlier == total:
            return f"all {total} files were scored earlier: {fared}"
        earlier = f", {self._earlier} of them earlier," if self._earlier else ""
        seconds = time.monotonic() - self._started
        return f"{total} files{earlier} in {seconds:.1f} s ({self._rate()}): {fared}"

    def _rate(self) -> str:
        scored = self._statuses.total() - self._earlier
        return f"{scored / max(time.monotonic() - self._started, 1e-9):.0f}/s"
