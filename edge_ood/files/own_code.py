"""Code of the user's own, `package.module:attribute`: the one place that imports it.

Whoever calls this has the name from the user; a name that a file brought is data.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_ood.errors import InputError

__all__ = ["imported", "working_directory"]


def imported(name: str, kind: str, expected: str) -> Any:
    """What a module calls so, from the environment or the working directory.

    Args:
        name: `package.module:attribute`.
        kind: What it is for, for messages, such as `model`.
        expected: What the attribute has to be, for a hint.

    Raises:
        InputError: If there is no such module or attribute.
    """
    module, _, attribute = name.partition(":")
    with working_directory():
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ModuleNotFoundError as error:
            raise _missing(f"{kind} {name!r}", module, str(error.name)) from error
    if found is None:
        origin = getattr(sys.modules[module], "__file__", None) or module
        raise InputError(
            f"{kind} {name!r}: '{origin}' has no {attribute!r}",
            hint=f"write the module, a colon, and {expected}",
        )
    return found


@contextlib.contextmanager
def working_directory() -> Iterator[None]:
    """Find modules in the working directory, too, as `python -m` does; the command does not."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _missing(what: str, module: str, absent: str) -> InputError:
    if f"{module}.".startswith(f"{absent}."):
        return InputError(
            f"{what}: no module {absent!r} here or in the environment",
            hint="run in the folder that holds it, or install it; a parameter is written with '='",
        )
    return InputError(
        f"{what} needs the module {absent!r}, which is not installed",
        hint=f"pip install what provides {absent!r}",
    )
