"""Throw damaged files at everything that reads files from anywhere.

    .venv/bin/python tests/fuzz/fuzz.py decoder --seconds 120
    .venv/bin/python tests/fuzz/fuzz.py artefact FILE.onnx --seconds 120 --seed 1 --keep findings
    .venv/bin/python tests/fuzz/fuzz.py metadata FILE.onnx --atheris --seconds 120

A target takes bytes, and either refuses them with an error of ours or does all its work. Whatever
else happens is a finding: another exception, a crash of native code, more memory or time than any
such file can be worth. Inputs are functions of the seed, and run in a process of their own, so
that a crash ends that one only. With `--atheris` (pip install atheris) coverage guides them.
"""

import argparse
import hashlib
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from mutations import mutated
from targets import TARGETS, Target

MOST_BYTES_OF_MEMORY = 4 * 2**30
MOST_SECONDS = 20
SECONDS_TO_IMPORT = 60
ACCEPTED = "accepted"


@dataclass
class Report:
    """What came of a run."""

    next_input: int = 0
    accepted: int = 0
    findings: list[tuple[str, bytes]] = field(default_factory=list)


def executions(target: Target, seed: int, first: int) -> Iterator[tuple[int, str, bytes]]:
    """Use one input after the other: its number, what came of it, and the input."""
    number = first
    while True:
        payload = mutated(target.seeds, np.random.default_rng([seed, number]))
        try:
            outcome = ACCEPTED if target.use(payload) else ""
        except Exception:  # whatever it is, it is what we are after
            outcome = traceback.format_exc(limit=-4)
        yield number, outcome, payload
        number += 1


def work(name: str, path: Path | None, seed: int, first: int, pipe: Connection) -> None:
    """A process that uses inputs, and tells after each what came of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES_OF_MEMORY, MOST_BYTES_OF_MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    for number, outcome, payload in executions(TARGETS[name](path), seed, first):
        pipe.send((number, outcome, payload if outcome not in ("", ACCEPTED) else b""))


def campaign(
    name: str, path: Path | None, *, seed: int, seconds: float, most: int = sys.maxsize
) -> Report:
    """Run for a while or so many inputs, in a new process after each crash."""
    report, end = Report(), time.monotonic() + seconds
    seeds = TARGETS[name](path).seeds
    context = multiprocessing.get_context("spawn")
    while report.next_input < most and time.monotonic() < end:
        ours, theirs = context.Pipe()
        start = (name, path, seed, report.next_input, theirs)
        process = context.Process(target=work, args=start, daemon=True)
        process.start()
        theirs.close()
        problem = listen(ours, report, end, most)
        process.kill()
        process.join()
        if problem:
            lost = mutated(seeds, np.random.default_rng([seed, report.next_input]))
            report.findings.append((f"{problem}, exit code {process.exitcode}", lost))
            report.next_input += 1
    return report


def listen(pipe: Connection, report: Report, end: float, most: int) -> str:
    """Note what a process tells; why it stopped telling, or nothing if time is up."""
    patience = SECONDS_TO_IMPORT
    while report.next_input < most and time.monotonic() < end:
        if not pipe.poll(patience):
            return f"no answer in {patience} s"
        try:
            number, outcome, payload = pipe.recv()
        except EOFError:
            return "the process died"
        report.next_input, patience = number + 1, MOST_SECONDS
        report.accepted += outcome == ACCEPTED
        if payload:
            report.findings.append((outcome, payload))
    return ""


def guided(name: str, path: Path | None, seconds: float) -> None:
    """Let coverage choose the inputs; ends at the first finding, or when time is up."""
    import atheris

    with atheris.instrument_imports(include=["PIL", "edge_ood"]):
        target = TARGETS[name](path)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            Path(corpus, str(number)).write_bytes(seed)
        atheris.Setup(
            [sys.argv[0], corpus, f"-max_total_time={seconds:.0f}", "-max_len=20000"],
            lambda payload: target.use(payload) and None,
        )
        atheris.Fuzz()


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("path", nargs="?", type=Path, help="a sound file, for the others")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for inputs that are findings")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage")
    chosen = parser.parse_args()
    if (chosen.path is None) != (chosen.target == "decoder"):
        parser.error(
            "all but the decoder need a sound file: an artefact, a network for the classifier, or "
            "the directory of a run"
        )
    if chosen.atheris:
        return guided(chosen.target, chosen.path, chosen.seconds)

    report = campaign(chosen.target, chosen.path, seed=chosen.seed, seconds=chosen.seconds)

    for problem, payload in report.findings:
        print(problem)
        if chosen.keep:
            chosen.keep.mkdir(parents=True, exist_ok=True)
            kept = chosen.keep / hashlib.sha256(payload).hexdigest()[:16]
            kept.write_bytes(payload)
            print(f"kept as {kept}")
    print(
        f"{chosen.target}, seed {chosen.seed}: {report.next_input} inputs, "
        f"{report.accepted} accepted, {len(report.findings)} findings"
    )


if __name__ == "__main__":
    main()
