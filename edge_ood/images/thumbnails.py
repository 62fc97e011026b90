"""Thumbnails and previews beside their originals, as cameras, NAS and galleries make them.

They are named and not left out: what looks like a thumbnail may be an image of its own. Folders
that are hidden by a leading dot (`.thumbnails`, `.@__thumb`, `.picasaoriginals`) and files such as
`__MACOSX/._x.jpg` are no images to begin with; see `edge_ood.images.folders.find_images`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from edge_ood.files.paths import shown_path
from edge_ood.files.stored import AnyImage

__all__ = ["thumbnails_note"]

_SYSTEM_FOLDERS = ("@eadir",)  # Synology: @eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg
_FOLDERS = re.compile(r"(?:thumb|thumbnail|preview)s?|_thumbs|_thumbnails|tn", re.IGNORECASE)
_AFFIX = re.compile(
    r"(?:thumb|thumbnail|preview|tn)[-_. ](?P<after>.+)"
    r"|(?P<before>.+?)(?:[-_. ](?:thumb|thumbnail|preview|tn|small)|-\d{2,4}x\d{2,4})",
    re.IGNORECASE,
)


def thumbnails_note(images: Sequence[AnyImage]) -> tuple[str, ...]:
    """What to say about files that look like thumbnails of others, if there are any.

    Args:
        images: Of one role or several; only files have neighbours.
    """
    paths = [path for path in images if isinstance(path, Path)]
    found = _thumbnails(paths)
    if not found:
        return ()
    folders = len({path.parent for path in found})
    return (
        f"{len(found)} of {len(paths)} images in {folders} folder(s) look like thumbnails or"
        f" previews of others, the first is '{shown_path(found[0])}'; remove them if they are",
    )


def _thumbnails(paths: Sequence[Path]) -> list[Path]:
    """Files in folders of thumbnails, or named as thumbnails are, whose originals are there."""
    places = {folder: _place(folder) for folder in {path.parent for path in paths}}
    suspects = [
        path for path in paths if places[path.parent] is not None or _AFFIX.fullmatch(path.stem)
    ]
    if not suspects:
        return []
    originals = {_bare(path) for path in paths if places[path.parent] is None}
    siblings = {
        place: {_without(path, place) for path in originals if len(path.parts) > place + 1}
        for place in {places[path.parent] for path in suspects}
        if place is not None
    }

    def is_thumbnail(path: Path) -> bool:
        place, shown = places[path.parent], path.parent / _name_of_original(path.stem)
        if place is None:
            return shown in originals
        if path.parts[place].casefold() in _SYSTEM_FOLDERS:
            return True
        likely = {_without(_bare(path), place), _without(shown, place)}
        return bool(likely & originals or likely & siblings[place])

    return [path for path in suspects if is_thumbnail(path)]


def _place(folder: Path) -> int | None:
    """Which part of a path is a folder of thumbnails, the innermost one."""
    for place in range(len(folder.parts) - 1, -1, -1):
        name = folder.parts[place]
        if name.casefold() in _SYSTEM_FOLDERS or _FOLDERS.fullmatch(name):
            return place
    return None


def _name_of_original(stem: str) -> str:
    match = _AFFIX.fullmatch(stem)
    return stem if match is None else match["after"] or match["before"]


def _bare(path: Path) -> Path:
    """Without its suffix, which a thumbnail need not share."""
    return path.parent / path.stem


def _without(path: Path, place: int) -> Path:
    return Path(*path.parts[:place], *path.parts[place + 1 :])
