"""What a path leads to, for paths that come from anywhere.

`Path.is_file()` and the like fail, before Python 3.14, on a name that is too long and on one below
a folder that may not be entered. For whoever asks, nothing is there.
"""

import hashlib
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from edge_ood.files.regular import open_regular
from edge_ood.files.stored import AnyImage, StoredImage
from edge_ood.files.text import valid_text

__all__ = ["file_sha256", "is_file", "is_folder", "path_of", "shortest_name", "shown_path"]

_URL = re.compile(r"[a-z][a-z0-9+]*://")
_ESCAPED_BYTE = re.compile(r"\\x([89a-f][0-9a-f])")


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read piece by piece; raises what `open_regular` raises."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(path: Path) -> bool:
    """Whether a regular file can be reached there, through links or not."""
    return os.path.isfile(path)  # noqa: PTH113  # see above


def is_folder(path: Path) -> bool:
    """Whether a folder can be reached there, through links or not."""
    return os.path.isdir(path)  # noqa: PTH112  # see above


def shown_path(path: AnyImage) -> str:
    """A path as it stands in a table: absolute or relative to here, and always valid UTF-8.

    What is no file of its own has its name, which begins like a path or a URL.
    """
    text = valid_text(str(path))
    if isinstance(path, StoredImage):
        is_named = text.startswith(("/", "./", "../")) or _URL.match(text)
        return text if is_named else f"./{text}"
    return text if path.is_absolute() or text.startswith("../") else f"./{text}"


def path_of(shown: str) -> Path:
    """The file of a path that `shown_path` wrote.

    A backslash and an x may be a byte outside UTF-8 as well as themselves: what is there decides.
    """
    if os.path.lexists(shown):
        return Path(shown)
    return Path(_ESCAPED_BYTE.sub(lambda byte: os.fsdecode(bytes.fromhex(byte[1])), shown))


def shortest_name(
    parts: tuple[str, ...], among: Sequence[tuple[str, ...]], taken: Collection[str] = ()
) -> str:
    """The fewest last parts of a path that tell it from others, joined by `/`.

    Args:
        parts: Of the path.
        among: Those of all paths, this one included.
        taken: Names that something else has already.

    Returns:
        The name; empty if there is none, because another path has all the same parts.
    """
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[-depth:])
        if [other[-depth:] for other in among].count(parts[-depth:]) == 1 and name not in taken:
            return name
    return ""
