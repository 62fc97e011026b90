"""Percentiles of how long something took, in memory that does not grow with how often."""

import math
from collections import Counter

__all__ = ["Latencies"]

_RESOLUTION = 1.01  # ratio of a bin's bounds: percentiles are right within 1 %
_SHORTEST_S = 1e-9
_SHOWN = (50, 95, 99)


class Latencies:
    """Times in seconds, counted in bins of 1 % width."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[math.floor(math.log(max(seconds, _SHORTEST_S), _RESOLUTION))] += 1

    def percentile(self, percent: float) -> float:
        """The smallest time, in seconds, that this share of all times does not exceed: p50, p99.

        Args:
            percent: In (0, 100].

        Returns:
            Within 1 % of the exact value; NaN if nothing was counted.
        """
        wanted = math.ceil(percent / 100 * len(self))
        passed = 0
        for position, count in sorted(self._counts.items()):
            passed += count
            if passed >= wanted:
                return float(_RESOLUTION ** (position + 0.5))
        return math.nan

    def summary(self) -> str:
        """One line of percentiles in milliseconds."""
        shown = (f"p{percent} {1e3 * self.percentile(percent):.1f} ms" for percent in _SHOWN)
        return f"latency, file to result: {', '.join(shown)}"
