"""How many images a second W workers score that read from one store: a queueing simulation.

Each worker keeps some requests under way. A request waits for the store's first byte, then for its
turn on the link that all share, then for a core of its worker. `python
benchmarks/scaling_simulation.py` prints the rate beside the least of three bounds: cores, link, and
requests under way over the time that one takes (Little's law). docs/scaling.md reads it.
"""

import argparse
import heapq
import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class System:
    """What images go through.

    Attributes:
        workers: Each with one core.
        ahead: Requests that each keeps under way.
        compute_s: Of one image on one core.
        latency_s: Mean until the first byte, exponentially distributed.
        image_bytes: Of one image.
        link_bytes_s: That the store gives to all workers together.
    """

    workers: int
    ahead: int
    compute_s: float
    latency_s: float
    image_bytes: float
    link_bytes_s: float

    def bounds(self) -> dict[str, float]:
        """Images a second that each resource alone allows."""
        transfer = self.image_bytes / self.link_bytes_s
        alone = self.latency_s + transfer + self.compute_s
        return {
            "cores": self.workers / self.compute_s,
            "link": 1 / transfer,
            "requests": self.workers * self.ahead / alone,
        }


def simulated(system: System, images: int, seed: int = 0) -> float:
    """Images a second, of the second half of so many."""
    draw, order = np.random.default_rng(seed), itertools.count()
    link_free, core_free = 0.0, [0.0] * system.workers
    transfer = system.image_bytes / system.link_bytes_s
    events: list[tuple[float, int, str, int]] = []

    def ask(now: float, worker: int) -> None:
        first_byte = now + draw.exponential(system.latency_s)
        heapq.heappush(events, (first_byte, next(order), "link", worker))

    for worker in range(system.workers):
        for _ in range(system.ahead):
            ask(0.0, worker)
    finished: list[float] = []
    while len(finished) < images:
        now, _, stage, worker = heapq.heappop(events)
        if stage == "link":
            link_free = max(now, link_free) + transfer
            heapq.heappush(events, (link_free, next(order), "core", worker))
        elif stage == "core":
            core_free[worker] = max(now, core_free[worker]) + system.compute_s
            heapq.heappush(events, (core_free[worker], next(order), "done", worker))
        else:
            finished.append(now)
            ask(now, worker)
    half = images // 2
    return (images - half) / (finished[-1] - finished[half - 1])


def main() -> None:
    """Print a table over the number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images-s", type=float, default=200.0, help="of one core")
    parser.add_argument("--image-kb", type=float, default=110.0)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--link-gbit", type=float, default=25.0)
    parser.add_argument("--ahead", type=int, default=32)
    chosen = parser.parse_args()
    print("| workers | images/s | bound | by | share of it |\n| ---: | ---: | ---: | --- | ---: |")
    for workers in (1, 4, 16, 64, 256, 1024):
        system = System(
            workers, chosen.ahead, 1 / chosen.images_s, chosen.latency_ms / 1e3,
            1e3 * chosen.image_kb, chosen.link_gbit * 1e9 / 8,
        )  # fmt: skip
        bounds = system.bounds()
        least = min(bounds, key=bounds.__getitem__)
        rate = simulated(system, max(2000, 20 * workers * chosen.ahead))
        print(f"| {workers} | {rate:,.0f} | {bounds[least]:,.0f} | {least} |"
              f" {rate / bounds[least]:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()
