"""The option `--gallery` of `edge-ood score`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edge_ood.cli._say import say

if TYPE_CHECKING:
    from edge_ood.artifact.metadata import Metadata
    from edge_ood.report.gallery import Gallery

__all__ = ["GalleryPage"]


class GalleryPage:
    """The page that `--gallery` asks for; without a path, none, and nothing is done or imported.

    Args:
        path: Where to write it.
        size: How many images it shows at most.
    """

    def __init__(self, path: Path | None, size: int) -> None:
        self._path = path
        self._size = size
        self._gallery: Gallery | None = None

    @property
    def own_files(self) -> tuple[Path, ...]:
        """Files that are written, and so are no input."""
        return () if self._path is None else (self._path,)

    def check(self, others: Sequence[Path], *, force: bool, resume: bool) -> None:
        """Refuse a page that cannot be made, before any image is scored.

        Args:
            others: Files that it must not replace.
            force: Replace what is there.
            resume: Replace what is there if it is a page of an earlier run.
        """
        if self._path is None:
            return
        from edge_ood.files.output import check_output
        from edge_ood.report.page import environment, is_page

        environment()
        if os.path.realpath(self._path) in map(os.path.realpath, others):
            raise typer.BadParameter(f"--gallery {self._path} is a file that scoring needs itself")
        check_output(self._path, force=force or (resume and is_page(self._path)))

    def begin(self, metadata: "Metadata") -> "Gallery | None":
        """What is to see all rows."""
        if self._path is not None:
            from edge_ood.report.gallery import Gallery

            self._gallery = Gallery(metadata, self._size)
        return self._gallery

    def finish(self, artifact: Path) -> None:
        """Read the images that were kept, and write the page."""
        if self._path is None or self._gallery is None:
            return
        from edge_ood.artifact.guarantee_text import guarantee_text
        from edge_ood.report.page import write_page

        gallery = self._gallery
        with typer.progressbar(length=gallery.shown, label="gallery", file=sys.stderr) as bar:
            html = gallery.page(
                artifact=artifact.name,
                guarantee=guarantee_text(gallery.metadata),
                on_picture=lambda: bar.update(1),
            )
        write_page(self._path, html)
        say(f"the {gallery.shown} most suspicious images are in '{self._path}'", err=True)
