"""`edge-ood serve` with eight clients against `edge-ood score` on the same files and cores.

Run `python benchmarks/serving.py FILE.onnx FOLDER`. Clients are threads of one process, which takes
time from the same cores, as a gateway beside the camera does; each sends the next file when it has
the last one's row. Both go over all files once in each round, in turn.
"""

import argparse
import http.client
import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from machine import machine
from promises import at_least

from edge_ood.runtime.scorer import Scorer

CLIENTS, KEPT = 8, 0.9
PROGRAM = "from edge_ood.cli import main; main()"


class Service:
    """`edge-ood serve` in a process of its own."""

    def __init__(self, artifact: Path) -> None:
        command = [sys.executable, "-c", PROGRAM, "serve", str(artifact), "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        found = re.search(r":(\d+)/score", self.process.stderr.readline())
        assert found is not None
        self.port = int(found[1])

    def ask(self, files: list[bytes]) -> list[float]:
        """Seconds of each request of one client."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        seconds = []
        for content in files:
            started = time.perf_counter()
            connection.request("POST", "/score", content)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            seconds.append(time.perf_counter() - started)
        connection.close()
        return seconds


def main() -> None:
    """Print rates, latencies, and one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    found = sorted(path for path in chosen.folder.rglob("*") if path.is_file())
    paths = (found * (1 + chosen.images // len(found)))[: chosen.images]
    contents = [path.read_bytes() for path in paths]
    scorer, service = Scorer(chosen.artifact, provider="cpu", threads=1), Service(chosen.artifact)
    print(machine(f"medians of {chosen.rounds} rounds of {len(paths)} images"))
    ratios, latencies = [], []
    try:
        service.ask(contents[:8])
        for _ in range(chosen.rounds):
            started = time.perf_counter()
            rows = sum(1 for _ in scorer.stream(paths))
            here = rows / (time.perf_counter() - started)
            started = time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as clients:
                shares = [contents[at::CLIENTS] for at in range(CLIENTS)]
                latencies += [s for share in clients.map(service.ask, shares) for s in share]
            there = len(paths) / (time.perf_counter() - started)
            print(f"score {here:.1f} images/s, serve {there:.1f}")
            ratios.append(there / here)
    finally:
        service.process.terminate()
        service.process.communicate()
    p50, p99 = (1e3 * statistics.quantiles(latencies, n=100)[at - 1] for at in (50, 99))
    print(f"latency at {CLIENTS} clients: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    print(at_least("serve at 8 clients against score", statistics.median(ratios), KEPT))


if __name__ == "__main__":
    main()
