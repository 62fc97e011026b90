"""Every error that edge-ood raises on purpose.

EdgeOodError                 base; `exit_code = 1`, of usage 2; optional `hint`
|- InputError (ValueError)           an argument or array the caller passed is unusable
|  |- ShapeError                     wrong rank, size or dtype
|  |- UnknownNameError (LookupError) no such head, model or objective; carries the closest name
|  |- OutOfRangeError (IndexError)   a result has no image or artefact of this number
|  `- UsageError                     options contradict each other, or one is missing
|- DataError                         images or labels on disk are missing, empty or unreadable
|  `- ChanceLevelError               a classifier has learned nothing from them
|- CalibrationError                  statistics or threshold cannot be estimated from this split
|- ArtifactError                     a saved file is missing, corrupt or from another run
|- ExportError                       the graph is invalid, or torch and onnxruntime disagree
`- MissingDependencyError (ImportError)  an optional extra is not installed

A message says what arrived and what was expected; the hint is a command or a value to try.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "ArtifactError",
    "CalibrationError",
    "ChanceLevelError",
    "DataError",
    "EdgeOodError",
    "ExportError",
    "InputError",
    "MissingDependencyError",
    "OutOfRangeError",
    "ShapeError",
    "UnknownNameError",
    "UsageError",
]


class EdgeOodError(Exception):
    """Base of all errors meant to be read by a user.

    Catch it to handle anything edge-ood refuses:

        try:
            scorer = Scorer("classifier.onnx")
        except EdgeOodError as error:
            print(error, error.hint)
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is made anew from its message alone, which some of these refuse;
        # then a worker process's error would be lost on the way back.
        return _restored, (type(self), self.args, vars(self))


class InputError(EdgeOodError, ValueError):
    """An argument or array that the caller passed is unusable."""


class ShapeError(InputError):
    """An array has the wrong rank, size or dtype."""


class UnknownNameError(InputError, LookupError):
    """No head, model, objective or parameter has this name; `closest` is the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, listing: str = "") -> None:
        known = sorted(known)
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        self.closest = nearest[0] if nearest else None
        advice = f"did you mean {self.closest!r}?" if self.closest else f"one of {', '.join(known)}"
        separator = " " if self.closest else "; "
        hint = f"{advice}{separator}{listing}" if listing else advice
        super().__init__(f"unknown {kind} {name!r}", hint=hint)


class OutOfRangeError(InputError, IndexError):
    """A result has no image or artefact of this number."""


class UsageError(InputError):
    """Options contradict each other, or one that is needed is missing; ends a command with 2."""

    exit_code = 2


class DataError(EdgeOodError):
    """Images or labels on disk are missing, empty or unreadable.

    `status` is the word that stands in a score table when one image causes it: `unreadable` for
    a file that is damaged or cannot be opened, `not-an-image`, `unsupported` for an image of a
    kind that is not decoded, or `too-large`.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, status: str = "unreadable"
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class CalibrationError(EdgeOodError):
    """Statistics or a threshold cannot be estimated from this split."""


class ArtifactError(EdgeOodError):
    """A saved file is missing, corrupt, too new or from another run."""


class ExportError(EdgeOodError):
    """The graph is invalid, or the exported file disagrees with its reference."""


class ChanceLevelError(DataError):
    """A classifier is no better than chance; its run is complete all the same."""


class MissingDependencyError(EdgeOodError, ImportError):
    """An optional extra is not installed."""

    def __init__(self, purpose: str, module: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs {module}, which is not installed",
            hint=f"pip install 'edge-ood[{extra}]'",
        )


def _restored(
    kind: type[EdgeOodError], arguments: tuple[Any, ...], attributes: Mapping[str, Any]
) -> EdgeOodError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(attributes)
    return error
