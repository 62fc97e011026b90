"""What whoever has an artefact made wants to hear meanwhile; the library itself prints nothing."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["SILENT", "Listener"]


@dataclass(frozen=True)
class Listener:
    """Called while an artefact is made.

    Attributes:
        on_step: With each step's name before it starts.
        on_progress: Within a step, with how many images are done and of how many.
        on_note: With sentences that the user should read.
    """

    on_step: Callable[[str], None] = lambda name: None
    on_progress: Callable[[int, int], None] = lambda done, total: None
    on_note: Callable[[str], None] = lambda note: None


SILENT = Listener()
"""For callers who want to hear nothing."""
