"""The sets of images that an evaluation compares, and their names."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import InputError
from edge_ood.paths import is_folder

__all__ = ["MadeImages", "name_folders"]


class MadeImages(Protocol):
    """Images that are no files as they are, such as adversarial ones; `paths` they come from."""

    paths: tuple[Path, ...]

    def __len__(self) -> int: ...

    def batches(self, size: int, on_image: Callable[[], None]) -> Iterator[NDArray[np.uint8]]:
        """Images uint8 (at most `size`, S, S, 3)."""


def name_folders(arguments: Sequence[str], *, taken: Sequence[str] = ()) -> dict[str, Path]:
    """Folders by name, from `NAME=DIR` or `DIR`, in the order given.

    The name of a plain `DIR` is the folder's own, with as many parents before it as it takes to
    tell it from the others. An argument that is a folder as it stands is never split at `=`.

    Raises:
        InputError: If a name or folder is missing, or a name or plain folder is given twice or is
            `taken`.
    """
    pairs = [_split_name(text) for text in arguments]
    named = [name for name, _ in pairs if name]
    plain = [folder.resolve().parts for name, folder in pairs if not name]
    folders: dict[str, Path] = {}
    for name, folder in pairs:
        chosen = name or _shortest_name(folder.resolve().parts, plain, named)
        if not chosen or chosen in folders or chosen in taken:
            raise InputError(
                f"{str(name or folder)!r} is given twice",
                hint="give each OOD set once, or name them with NAME=DIR",
            )
        folders[chosen] = folder
    return folders


def _split_name(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or is_folder(Path(text)):
        return "", Path(text)
    if not name or not folder:
        raise InputError(f"cannot read OOD set {text!r}", hint="write DIR or NAME=DIR")
    return name, Path(folder)


def _shortest_name(
    parts: tuple[str, ...], plain: Sequence[tuple[str, ...]], named: Sequence[str]
) -> str:
    """The fewest last parts of a path that no other has; empty if the whole path is shared."""
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[-depth:])
        if [other[-depth:] for other in plain].count(parts[-depth:]) == 1 and name not in named:
            return name
    return ""
