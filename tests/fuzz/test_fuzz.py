"""Damaged files of every kind, a few thousand of them: refused in our words, or used.

`tests/fuzz/fuzz.py` throws as many more as one has time for.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

FOLDER = Path(__file__).parent
SCRIPTS = ("fuzz", "mutations", "targets")
INPUTS = {
    **{"decoder": 2000, "metadata": 150, "artefact": 300, "classifier": 300},
    **{"run": 60, "checkpoint": 100},
}
SECONDS = 300.0  # far more than it takes; the number of inputs ends it


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script, which is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield __import__("fuzz")
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", INPUTS)
def test_damaged_files_are_refused_or_used(
    name: str,
    fuzz: Any,
    colour_artifact: Path,
    colour_classifier: onnx.ModelProto,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """No other error, no crash of native code, no hang; and some inputs are still sound."""
    network = tmp_path / "network.onnx"
    onnx.save(colour_classifier, network)
    path = {"decoder": None, "classifier": network}.get(name, colour_artifact)
    if name in ("run", "checkpoint"):
        path = request.getfixturevalue("run_path")

    report = fuzz.campaign(name, path, seed=0, seconds=SECONDS, most=INPUTS[name])

    assert [] == [problem for problem, _ in report.findings]
    assert INPUTS[name] == report.next_input
    assert 0 < report.accepted < INPUTS[name]


def test_inputs_are_functions_of_the_seed(fuzz: Any) -> None:
    """The same number gives the same bytes, and most of them are damaged."""
    seeds = fuzz.TARGETS["decoder"](None).seeds

    def inputs(seed: int) -> list[bytes]:
        return [fuzz.mutated(seeds, np.random.default_rng([seed, i])) for i in range(50)]

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)
    assert len(set(inputs(1)) - set(seeds)) > 40


@pytest.mark.parametrize("way", ["raise", "die", "hang"])
def test_every_kind_of_finding_is_found(
    way: str, fuzz: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception, a dead process and a silent one, each with the input that did it."""
    module = tmp_path / "targets.py"
    module.write_text(f"""
import os, time
from types import SimpleNamespace

def use(payload):
    if payload[:1] == b"x":
        {{"raise": lambda: 1 / 0, "die": os.abort, "hang": lambda: time.sleep(99)}}[{way!r}]()
    return True

Target = SimpleNamespace
TARGETS = {{"odd": lambda _: SimpleNamespace(seeds=[b"x", b"y" * 500], use=use)}}
""")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in SCRIPTS:
        sys.modules.pop(name, None)
    fuzz = __import__("fuzz")
    monkeypatch.setattr(fuzz, "MOST_SECONDS", 0.2)

    report = fuzz.campaign("odd", None, seed=0, seconds=SECONDS, most=6)

    expected = {"raise": "ZeroDivisionError", "die": "exit code -6", "hang": "no answer in 0.2 s"}
    assert 6 == report.next_input
    assert report.findings
    for problem, payload in report.findings:
        assert expected[way] in problem
        assert b"x" == payload[:1]
