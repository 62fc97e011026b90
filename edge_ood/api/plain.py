"""Plain options, as people and command lines give them, made into what the rooms take."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge_ood.errors import InputError, UsageError
from edge_ood.registry import Spec, parse_spec, parse_specs

__all__ = ["RGB", "PathLike", "Words", "path_or_none", "rgb", "spec", "specs", "words"]

PathLike = str | os.PathLike[str]
Words = str | Sequence[str]
RGB = tuple[float, float, float]

_WHITE = 255
_LEAST_STD = 0.001
_UNITS = {"--mean": (0.0, 1.0), "--std": (_LEAST_STD, 4.0)}
"""What means and standard deviations can be; 1/255 as std makes bytes of pixels in [0, 1]."""


def path_or_none(given: PathLike | None) -> Path | None:
    """The path, if there is one."""
    return None if given is None else Path(given)


def words(given: Words | None) -> tuple[str, ...]:
    """`"crop,flip"` and `["crop", "flip"]` alike; nothing without any."""
    pieces = given.split(",") if isinstance(given, str) else given or ()
    return tuple(piece.strip() for piece in pieces)


def rgb(name: str, given: str | float | Sequence[float] | None) -> RGB | None:
    """A mean or standard deviation of pixels in [0, 1], for red, green and blue, or one for all.

    Args:
        name: `--mean` or `--std`.
        given: `"0.485,0.456,0.406"`, three numbers, or one.

    Raises:
        UsageError: If it is anything else.
        InputError: If a number is none that pixels in [0, 1] have, such as one of pixels in
            [0, 255].
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
    _check_units(name, (red, green, blue))
    return red, green, blue


def _check_units(name: str, numbers: RGB) -> None:
    low, high = _UNITS[name]
    if all(low <= number <= high for number in numbers) or not all(map(math.isfinite, numbers)):
        return
    shown = ",".join(f"{number:g}" for number in numbers)
    if min(numbers) <= 0 and name == "--std":
        hint = "a standard deviation is positive; --std 1 leaves pixels as they are"
    elif max(numbers) > high:
        hint = f"of pixels in [0, 255]? in [0, 1] it is {name} {_shown(numbers, 1 / _WHITE)}"
    elif name == "--std":
        hint = f"divided by 255 twice? then it is {name} {_shown(numbers, _WHITE)}"
    else:
        hint = "--mean 0 subtracts nothing"
    limits = f"[{_LEAST_STD}, {high:g}]" if name == "--std" else "[0, 1]"
    raise InputError(
        f"{name} is {shown}, expected numbers in {limits}, as of pixels in [0, 1]", hint=hint
    )


def _shown(numbers: RGB, factor: float) -> str:
    return ",".join(f"{number * factor:.3g}" for number in numbers)


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
