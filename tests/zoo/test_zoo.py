"""Classifiers of many libraries attach, or are refused, as the page says.

`make zoo` makes an environment of their own from the extra `zoo`, TensorFlow and Paddle in it, and
runs them for half an hour; `.venv-zoo/bin/python -I tests/zoo/test_zoo.py` writes the table of the
page from what it finds.
"""

import atexit
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ood import Scorer
from zoo import CASES
from zoo.case import Case, own_answer
from zoo.pictures import Pictures, write_pictures

PAGE = Path(__file__).parents[2] / "docs" / "supported-models.md"
BEGIN, END = "<!-- zoo: begin -->\n", "<!-- zoo: end -->\n"
SOUND = [case for case in CASES if not case.fault]
LEAST_CASES = 40
OF_SPREAD, OF_SPREAD_ROUNDED = 0.02, 0.2
"""How far logits may be from the library's, of their spread: a level of a pixel, not a channel; of
those that round inside, what sound runs of onnxruntime differ by, 0.12 of a transformer."""


@dataclass(frozen=True)
class Found:
    """What came of a case.

    Attributes:
        heads: Of the artefact; empty where the classifier was refused.
        refusal: The line that refused it.
        labels: Whether each new picture has the label that its own library gives it.
        error: The largest difference of logits, less their mean, of the library's deviation.
    """

    heads: tuple[str, ...] = ()
    refusal: str = ""
    labels: bool = False
    error: float = 0.0


@cache
def pictures() -> Pictures:
    """The files, written once."""
    return write_pictures(Path(tempfile.mkdtemp()))


@lru_cache(maxsize=1)
def process_of(library: str) -> ProcessPoolExecutor:
    """A process for one library at a time: TensorFlow and Paddle in one end in a crash."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


atexit.register(process_of.cache_clear)  # later, the interpreter has forgotten how


@cache
def tried(case: Case) -> Found:
    """Build the classifier, attach to it as a user would, and ask both about new pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        own = process_of(case.library).submit(own_answer, case, folder, pictures()).result()
        done = attach(case, folder)
        if done.returncode:
            assert 1 == done.returncode, done.stderr
            return Found(refusal=shown_refusal(case, done.stderr))
        scorer = Scorer(folder / "artefact.onnx", provider="cpu")
        ours = scorer(pictures().new_files())
        labels = np.array_equal(own.argmax(axis=1), ours.label_index)
        return Found(scorer.heads, labels=labels, error=difference(ours.logits, own))


def shown_refusal(case: Case, told: str) -> str:
    """As the case expects it, if it is that; otherwise the line as it is."""
    *_, line = [line for line in told.splitlines() if line.startswith("error: ")]
    expected = ".*".join(map(re.escape, case.refusal.split("...")))
    line = line.removeprefix("error: ")
    return case.refusal if re.fullmatch(expected, line) else line


def attach(case: Case, folder: Path) -> "subprocess.CompletedProcess[str]":
    """`edge-ood attach`, as typed."""
    known: list[str | Path] = ["--calibration", pictures().unlabelled]
    if case.labelled:
        known = ["--id", pictures().train, "--calibration", pictures().calibration]
    program = Path(sysconfig.get_path("scripts")) / "edge-ood"
    words = [folder / "classifier.onnx", *known, "-o", folder / "artefact.onnx"]
    return subprocess.run(
        [program, "attach", *words, *case.options.split()],
        capture_output=True,
        text=True,
        check=False,
    )


def difference(ours: np.ndarray, own: np.ndarray) -> float:
    """Of logits (N, K), which a softmax leaves known but for a number an image."""
    first, second = (rows - rows.mean(axis=1, keepdims=True) for rows in (ours, own))
    return float(np.abs(first - second).max() / second.std())


def row_of(case: Case, found: Found) -> str:
    """The case's line of the table."""
    typed = f"`{case.options}`" if case.options else ""
    flat = "" if case.labelled else " (no labels)"
    scores = ", ".join(f"`{head}`" for head in found.heads)
    return f"| {case.library} | `{case.name}` | {typed}{flat} | {scores or found.refusal} |"


def table_of(found: Sequence[Found]) -> str:
    """The table, with the result of each sound case in turn."""
    rows = "\n".join(row_of(case, each) for case, each in zip(SOUND, found, strict=True))
    return (
        "| library | network | options | scores, or the refusal |\n"
        f"| --- | --- | --- | --- |\n{rows}\n"
    )


def committed() -> str:
    """The table of the page."""
    return PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]


def name_of(case: Case) -> str:
    """How pytest calls a case."""
    return f"{case.library}-{case.name}".replace(" ", "-")


def parameter(case: Case) -> Any:
    """A case for pytest, expected to fail as long as its fault is there."""
    marks = [pytest.mark.xfail(reason=case.fault)] if case.fault else []
    return pytest.param(case, marks=marks, id=name_of(case))


def test_there_are_as_many_as_promised() -> None:
    """Forty and more, no two of one name, and at least some are refused."""
    attached = [case for case in SOUND if case.heads]

    assert LEAST_CASES <= len(attached) < len(SOUND)
    assert len(CASES) == len({name_of(case) for case in CASES})


def test_the_page_has_the_cases() -> None:
    """The table says what the cases expect, in their order: `make zoo` shows that it is so."""
    expected = [Found(heads=case.heads, refusal=case.refusal) for case in SOUND]

    assert table_of(expected) == committed()


@pytest.mark.zoo
@pytest.mark.filterwarnings("ignore")  # those of ten libraries are not this project's
@pytest.mark.parametrize("case", list(map(parameter, CASES)))
def test_a_classifier_comes_out_as_the_page_says(case: Case) -> None:
    """Its scores or its refusal are as expected; labels are its own library's, logits nearly."""
    found = tried(case)

    assert (case.heads, case.refusal) == (found.heads, found.refusal)
    if found.heads:
        assert found.labels
        assert found.error < (OF_SPREAD_ROUNDED if case.rounds else OF_SPREAD)


if __name__ == "__main__":
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    made = table_of([tried(case) for case in SOUND])
    PAGE.write_text(f"{before}{BEGIN}{made}{END}{rest.partition(END)[2]}", "utf-8")
