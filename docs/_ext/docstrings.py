"""Sections of the project's docstrings (Google style), taken apart."""

import re

__all__ = ["described", "joined"]

_ENTRY = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def described(section: str) -> dict[str, str]:
    """Descriptions by name, each in one line, of an `Args` or `Attributes` section."""
    return {name: joined(text) for name, text in _ENTRY.findall(section)}


def joined(text: str) -> str:
    """Text in one line."""
    return " ".join(text.split())
