"""What the benchmarks share: clocks, and lines that put a measured number beside its goal."""

import time
from dataclasses import dataclass

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Goal:
    """A measured number beside its goal."""

    name: str
    measured: str
    limit: str
    met: bool

    def __str__(self) -> str:
        return (
            f"goal: {self.name} measured {self.measured} limit {self.limit} "
            f"{'ok' if self.met else 'short'}"
        )


def at_most(name: str, measured: float, goal: float, unit: str = "x") -> Goal:
    """A number that should be small."""
    return Goal(name, f"{measured:.2f}{unit}", f"<={goal}{unit}", measured <= goal)


def at_least(name: str, measured: float, goal: float) -> Goal:
    """A ratio that should be large."""
    return Goal(name, f"{measured:.2f}x", f">={goal}x", measured >= goal)
