"""Names from disks and from artefacts, which may hold anything, as text that is safe to write."""

import os

__all__ = ["printable", "valid_text", "without_formula"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the start of a formula, the full-width forms included."""


def valid_text(text: str) -> str:
    r"""The text with bytes outside UTF-8, as file names may have them, standing as `\xNN`."""
    return text if text.isascii() else os.fsencode(text).decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    r"""The text in one line for a terminal: control characters stand as `\n`, `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode()
        for mark in valid_text(text)
    )


def without_formula(text: str) -> str:
    """A cell of CSV with a leading `'` if a spreadsheet could take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
