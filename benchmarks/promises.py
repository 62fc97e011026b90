"""What the benchmarks share: clocks, and lines that put a measured number beside its goal."""

import time
from dataclasses import dataclass

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Promise:
    """A measured number beside its goal."""

    name: str
    measured: str
    goal: str
    kept: bool

    def __str__(self) -> str:
        return (
            f"promise: {self.name} measured {self.measured} goal {self.goal} "
            f"{'ok' if self.kept else 'short'}"
        )


def at_most(name: str, measured: float, goal: float, unit: str = "x") -> Promise:
    """A number that should be small."""
    return Promise(name, f"{measured:.2f}{unit}", f"<={goal}{unit}", measured <= goal)


def at_least(name: str, measured: float, goal: float) -> Promise:
    """A ratio that should be large."""
    return Promise(name, f"{measured:.2f}x", f">={goal}x", measured >= goal)
