"""Work in pieces: batches hold every item once, in order."""

import pytest

from edge_ood.threads import batched, slices

LENGTHS = [(0, 3, []), (1, 3, [1]), (6, 3, [3, 3]), (7, 3, [3, 3, 1]), (2, 1, [1, 1])]


@pytest.mark.parametrize(("count", "size", "expected"), LENGTHS)
def test_batches_are_full_but_for_the_last(count: int, size: int, expected: list[int]) -> None:
    """Nothing of nothing, and no empty batch at the end."""
    batches = list(batched(iter(range(count)), size))

    assert expected == [len(batch) for batch in batches]
    assert list(range(count)) == [item for batch in batches for item in batch]


@pytest.mark.parametrize(("count", "size", "expected"), LENGTHS)
def test_slices_cut_as_batches_are(count: int, size: int, expected: list[int]) -> None:
    """Each row is in one of them."""
    rows = range(count)

    assert expected == [len(rows[part]) for part in slices(count, size)]
    assert list(rows) == [row for part in slices(count, size) for row in rows[part]]
