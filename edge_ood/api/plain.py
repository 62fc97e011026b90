"""Plain options, as people and command lines give them, made into what the rooms take."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge_ood.errors import UsageError
from edge_ood.registry import Spec, parse_spec, parse_specs

__all__ = ["RGB", "PathLike", "Words", "path_or_none", "rgb", "spec", "specs", "words"]

PathLike = str | os.PathLike[str]
Words = str | Sequence[str]
RGB = tuple[float, float, float]


def path_or_none(given: PathLike | None) -> Path | None:
    """The path, if there is one."""
    return None if given is None else Path(given)


def words(given: Words | None) -> tuple[str, ...]:
    """`"crop,flip"` and `["crop", "flip"]` alike; nothing without any."""
    pieces = given.split(",") if isinstance(given, str) else given or ()
    return tuple(piece.strip() for piece in pieces)


def rgb(name: str, given: str | float | Sequence[float] | None) -> RGB | None:
    """One number for each of red, green and blue, or one for all.

    Args:
        name: Of the option, for the message.
        given: `"0.485,0.456,0.406"`, three numbers, or one.

    Raises:
        UsageError: If it is anything else.
    """
    if given is None:
        return None
    try:
        parts = given.split(",") if isinstance(given, str) else given
        numbers = [float(p) for p in ([parts] if isinstance(parts, int | float) else parts)]
        red, green, blue = numbers * 3 if len(numbers) == 1 else numbers
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name} is {given!r}, expected three numbers such as 0.485,0.456,0.406"
        ) from error
    return red, green, blue


def spec(given: str | Spec) -> Spec:
    """A name with parameters, such as `"NAME:weight=0.5"`, unless it is read already."""
    return parse_spec(given) if isinstance(given, str) else given


def specs(given: str | Iterable[str | Spec] | None) -> list[Spec]:
    """`"energy,odin:epsilon=0.002"` and `["energy", "odin:epsilon=0.002"]` alike."""
    if given is None:
        return []
    if isinstance(given, str):
        return parse_specs(given)
    return [found for item in given for found in _specs(item)]


def _specs(item: str | Spec) -> list[Spec]:
    return [item] if isinstance(item, Spec) else parse_specs(item)
