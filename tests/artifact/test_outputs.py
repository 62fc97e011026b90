"""The typed result: joined in order, turned into rows, and honest about what is not finite."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from edge_ood.artifact.contract import contract_outputs
from edge_ood.artifact.outputs import Scores

HEADS = ("energy", "msp")


def scores(count: int, start: int = 0) -> Scores:
    """Distinct numbers for every image and output."""
    index = np.arange(start, start + count)
    number = index.astype(np.float32)
    flags = index % 2 == 0
    logits = np.stack([number, -number], axis=1)
    outputs = [index % 2, flags, number, logits]
    for step in (1, 2):
        outputs += [number + 100 * step, number + 1000 * step, flags]
    return Scores.of_outputs(("cat", "dog"), HEADS, outputs)


def test_outputs_are_taken_by_the_order_of_the_contract() -> None:
    """Four common outputs, then three for each head."""
    found = scores(2)

    names = list(contract_outputs(HEADS))
    assert ["label", "is_ood", "pvalue", "logits"] == names[:4]
    assert ["energy", "energy_pvalue", "energy_is_ood", "msp"] == names[4:8]
    assert [200, 201] == found.scores["msp"].tolist()
    assert [1000, 1001] == found.pvalues["energy"].tolist()
    assert [True, False] == found.decisions["msp"].tolist()
    assert ["cat", "dog"] == found.label


def test_joining_keeps_the_order_of_everything() -> None:
    """Parts of different lengths are one result, as if it had never been split."""
    joined = Scores.joined([scores(3), scores(1, start=3), scores(2, start=4)], ["a", "b"])

    expected = scores(6)
    assert 6 == len(joined)
    assert ("a", "b") == joined.hashes
    for field in fields(Scores):
        if field.name != "hashes":
            np.testing.assert_equal(getattr(joined, field.name), getattr(expected, field.name))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["logits", "energy", "msp"])
def test_one_number_that_is_not_finite_marks_its_image(where: str, value: float) -> None:
    """In any logit or score, with either sign."""
    found = scores(4)
    array = found.logits[:, 1] if where == "logits" else found.scores[where]
    array[2] = value

    rows = list(found.rows([Path(str(i)) for i in range(4)]))

    assert [True, True, False, True] == found.is_finite.tolist()
    assert ["ok", "ok", "not-finite", "ok"] == [row.status for row in rows]
    assert ["", "", "a score or logit is not a finite number", ""] == [row.error for row in rows]


def test_rows_want_as_many_paths_as_images() -> None:
    """Otherwise some file would get another's result."""
    with pytest.raises(ValueError, match="zip"):
        list(scores(3).rows([Path("a"), Path("b")]))
