"""What is said of one image, in words and plain values."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_ood.artifact.verdict import Verdict


@pytest.fixture
def verdict() -> Verdict:
    """Of a class whose name turns the terminal red."""
    return Verdict(
        label="\x1b[31mcat",
        is_ood=True,
        pvalue=np.float32(0.05),
        scores={"energy": np.float32(-2.5)},
        pvalues={"energy": np.float32(0.05)},
        decisions={"energy": True},
        path=Path("a.png"),
    )


def test_a_verdict_prints_in_one_line(verdict: Verdict) -> None:
    """Without the letters that a terminal obeys."""
    assert r"\x1b[31mcat, flagged as out-of-distribution, p = 0.05" == str(verdict)


def test_a_verdict_shows_its_scores(verdict: Verdict) -> None:
    """As numbers, not as those of NumPy."""
    expected = r"Verdict(label='\x1b[31mcat', is_ood=True, pvalue=0.05, scores={'energy': -2.5})"

    assert expected == repr(verdict)


def test_a_verdict_is_plain_values(verdict: Verdict) -> None:
    """The columns of a score table, with the path where there is one."""
    cells = json.loads(json.dumps(verdict.to_dict()))

    expected = {
        "path": "a.png",
        "label": "\x1b[31mcat",
        "is_ood": True,
        "pvalue": float(np.float32(0.05)),
        "energy": -2.5,
        "energy_pvalue": float(np.float32(0.05)),
        "energy_is_ood": True,
    }
    assert expected == cells


def test_a_pvalue_is_compared_as_the_file_compares(verdict: Verdict) -> None:
    """In float32, where 0.05 is not above 0.05."""
    assert verdict.pvalue <= np.float32(0.05)
    assert np.float32 is type(verdict.pvalue)
