"""Times by a clock that the tasks themselves turn."""

from collections.abc import Callable, Iterator

import pytest

from edge_ood.runtime import timing as module
from edge_ood.runtime.timing import median_seconds, time_added


class Clock:
    """Stands still but for tasks."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def task(self, durations: Iterator[float]) -> Callable[[], None]:
        """A task that takes so long, run by run."""

        def run() -> None:
            self.now += next(durations)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the module."""
    made = Clock()
    monkeypatch.setattr(module, "_CLOCK", made)
    return made


def test_the_first_run_does_not_count(clock: Clock) -> None:
    """It loads and compiles; of the others the one in the middle counts."""
    assert 2.0 == median_seconds(clock.task(iter([100.0, 1, 2, 50])), seconds=0)


def test_runs_fill_the_time(clock: Clock) -> None:
    """With less than three of them, there are three."""
    runs = iter([1.0] * 100)
    median_seconds(clock.task(runs), seconds=10)

    assert 100 - 1 - 10 == len(list(runs))


def test_what_is_added_is_the_difference_in_turn(clock: Clock) -> None:
    """A device that slows down from 1 to 9 slows both: medians would differ by chance, pairs not.

    Pairs are 1 and 3, 5 and 6, 9 and 14; the first runs, of 70 each, are no pair.
    """
    base, whole = clock.task(iter([70.0, 1, 5, 9])), clock.task(iter([70.0, 3, 6, 14]))

    found = time_added(base, whole, seconds=0)

    assert (5.0, 2.0) == (found.base, found.added)


def test_the_median_of_differences_ignores_an_interruption(clock: Clock) -> None:
    """Differences of 2, 100 and -30 are 2."""
    base, whole = clock.task(iter([1.0, 1, 1, 40])), clock.task(iter([1.0, 3, 101, 10]))

    assert 2.0 == time_added(base, whole, seconds=0).added


def test_nothing_costs_less_than_nothing(clock: Clock) -> None:
    """What the noise swallows is 0."""
    base, whole = clock.task(iter([2.0] * 4)), clock.task(iter([1.0] * 4))

    assert 0.0 == time_added(base, whole, seconds=0).added
