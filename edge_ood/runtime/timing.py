"""How long a task takes, on a device that does other things, too: medians over many runs."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["TimeAdded", "median_seconds", "time_added"]

Task = Callable[[], object]

_FEWEST_ROUNDS = 3
_CLOCK = time.perf_counter


@dataclass(frozen=True)
class TimeAdded:
    """Two tasks of which one does all that the other does.

    Attributes:
        base: Median seconds of the smaller task.
        added: Median seconds that the larger one takes longer, >= 0.
    """

    base: float
    added: float


def median_seconds(task: Task, seconds: float) -> float:
    """Median seconds of a task, run after a warm-up while there is time, three times at least."""
    task()
    times: list[float] = []
    until = _CLOCK() + seconds
    while len(times) < _FEWEST_ROUNDS or _CLOCK() < until:
        times.append(_once(task))
    return statistics.median(times)


def time_added(base: Task, whole: Task, seconds: float) -> TimeAdded:
    """What a task takes longer than another, run in turn while there is time.

    The median is of differences between neighbours: what slows the device for a while slows both.

    Args:
        base: Part of `whole`.
        whole: The task.
        seconds: For both together; three rounds are run at least.
    """
    base(), whole()
    pairs: list[tuple[float, float]] = []
    until = _CLOCK() + seconds
    while len(pairs) < _FEWEST_ROUNDS or _CLOCK() < until:
        pairs.append((_once(base), _once(whole)))
    added = statistics.median(second - first for first, second in pairs)
    return TimeAdded(statistics.median(first for first, _ in pairs), max(0.0, added))


def _once(task: Task) -> float:
    started = _CLOCK()
    task()
    return _CLOCK() - started
