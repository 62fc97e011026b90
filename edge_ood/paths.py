"""What a path leads to, for paths that come from anywhere.

`Path.is_file()` and the like fail, before Python 3.14, on a name that is too long and on one below
a folder that may not be entered. For whoever asks, nothing is there.
"""

import hashlib
import os
from pathlib import Path

__all__ = ["file_sha256", "is_file", "is_folder"]


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read piece by piece; raises what opening it raises."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(path: Path) -> bool:
    """Whether a regular file can be reached there, through links or not."""
    return os.path.isfile(path)  # noqa: PTH113  # see above


def is_folder(path: Path) -> bool:
    """Whether a folder can be reached there, through links or not."""
    return os.path.isdir(path)  # noqa: PTH112  # see above
