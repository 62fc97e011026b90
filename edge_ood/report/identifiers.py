"""Any name as an identifier in a page."""

import re

__all__ = ["identifier"]


def identifier(name: str) -> str:
    """Letters, digits and hyphens as they are, anything else as `_` and its code; none collide."""
    return re.sub(r"[^a-zA-Z0-9-]", lambda mark: f"_{ord(mark[0]):x}_", name)
