"""Where edge-ood keeps what it can make again, as the XDG base directory specification has it."""

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path | None:
    """The user's own, which need not exist; None for a user without a home."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(root) if Path(root).is_absolute() else Path("~/.cache").expanduser()
    except RuntimeError:
        return None
    return folder / "edge-ood"
