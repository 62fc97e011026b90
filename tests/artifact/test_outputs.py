"""The typed result: joined in order, turned into rows, and honest about what is not finite."""

import pickle
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

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


def test_a_number_gives_the_verdict_of_an_image() -> None:
    """From either end, with the numbers of all heads."""
    found = scores(6)

    for number in (3, -3, np.int64(3)):
        verdict = found[number]
        assert ("dog", False, 3.0) == (verdict.label, verdict.is_ood, verdict.pvalue)
        assert {"energy": 103.0, "msp": 203.0} == verdict.scores
        assert {"energy": 1003.0, "msp": 2003.0} == verdict.pvalues
        assert {"energy": False, "msp": False} == verdict.decisions


def test_iterating_gives_every_verdict_in_order() -> None:
    """As many as there are images, each with its file where there is one."""
    paths = tuple(Path(f"{i}.png") for i in range(3))
    found = replace(scores(3), paths=paths)

    assert [0.0, 1.0, 2.0] == [verdict.pvalue for verdict in found]
    assert list(paths) == [verdict.path for verdict in found]
    assert [None] * 3 == [verdict.path for verdict in scores(3)]


@pytest.mark.parametrize(
    "wanted", [slice(1, 5, 2), slice(-2, None), np.arange(6) > 3, [5, 0, 0], []], ids=str
)
def test_several_images_are_scores_again(wanted: Any) -> None:
    """A slice, a mask or numbers take the same images of everything."""
    names = [str(i) for i in range(6)]
    pictures = tuple(np.full((2, 2, 3), i, np.uint8) for i in range(6))
    whole = replace(scores(6), hashes=tuple(names), paths=tuple(map(Path, names)), images=pictures)
    taken = np.arange(6)[np.asarray(wanted, int) if isinstance(wanted, list) else wanted]

    found = whole[wanted]

    assert isinstance(found, Scores)
    assert taken.tolist() == found.pvalue.tolist()
    assert (taken + 2000).tolist() == found.pvalues["msp"].tolist()
    assert (taken % 2 == 0).tolist() == found.decisions["energy"].tolist()
    assert [str(i) for i in taken] == [*found.hashes] == [str(path) for path in found.paths]
    assert taken.tolist() == [image[0, 0, 0] for image in found.images]
    assert taken.tolist() == found.logits[:, 0].tolist()


def test_no_image_is_a_data_frame_without_a_row() -> None:
    """Its columns are those of any other, so that programs go on."""
    pytest.importorskip("pandas")

    assert [*scores(2).to_pandas().columns] == [*scores(2)[[]].to_pandas().columns]


def test_a_pickled_result_leaves_its_pictures_behind() -> None:
    """They would be larger than all else."""
    found = replace(scores(2), images=(np.zeros((500, 500, 3), np.uint8),) * 2)

    stored = pickle.dumps(found)

    assert len(stored) < 10_000
    assert found.pvalue.tolist() == pickle.loads(stored).pvalue.tolist()


def test_rows_want_as_many_paths_as_images() -> None:
    """Otherwise some file would get another's result."""
    with pytest.raises(ValueError, match="zip"):
        list(scores(3).rows([Path("a"), Path("b")]))
