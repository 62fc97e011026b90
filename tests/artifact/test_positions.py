"""Positions are chosen as NumPy and lists choose them; anything else is one error."""

from typing import Any

import numpy as np
import pytest

from edge_ood.artifact.positions import is_number, position_of, positions_of
from edge_ood.errors import EdgeOodError, InputError, OutOfRangeError, ShapeError

FIVE = np.arange(5)


@pytest.mark.parametrize("number", [0, 4, -1, -5, np.int64(2), np.uint8(3)])
def test_a_number_is_the_position_of_a_list(number: int) -> None:
    """From either end."""
    assert [0, 1, 2, 3, 4][number] == position_of(number, 5, "image")


@pytest.mark.parametrize("number", [5, -6, np.int64(5)])
def test_a_number_beyond_the_ends_is_an_index_error(number: int) -> None:
    """Of Python, too, so that what walks a sequence stops."""
    with pytest.raises(IndexError, match=f"no image {number}, expected -5 to 4") as refused:
        position_of(number, 5, "image")

    assert isinstance(refused.value, EdgeOodError)


def test_nothing_has_no_position() -> None:
    """The message does not name limits that there are not."""
    with pytest.raises(OutOfRangeError, match="no image 0, there are none"):
        position_of(0, 0, "image")


@pytest.mark.parametrize(
    "wanted",
    [
        slice(1, 3),
        slice(None, None, -2),
        slice(9, 12),
        FIVE % 2 == 0,
        [True, False, False, True, True],
        [3, -1, 3],
        np.array([4, 0], np.uint8),
        (2, 1),
    ],
    ids=str,
)
def test_several_are_those_that_numpy_takes(wanted: Any) -> None:
    """In its order, repeated ones repeated."""
    taken = FIVE[list(wanted) if isinstance(wanted, tuple) else wanted]

    assert taken.tolist() == positions_of(wanted, 5).tolist()


def test_an_empty_list_takes_nothing() -> None:
    """Though NumPy calls it one of floats."""
    assert [] == positions_of([], 5).tolist()


@pytest.mark.parametrize(
    ("wanted", "kind", "message"),
    [
        ("energy", InputError, "images chosen by 'energy', expected a number, a slice"),
        (None, InputError, "images chosen by None"),
        (1.5, InputError, r"images chosen by 1\.5"),
        (True, InputError, "images chosen by True"),
        ([0.5], InputError, "images chosen by values of float64"),
        (["a"], InputError, "images chosen by values of <U1"),
        ([True, False], ShapeError, r"an array \(2,\), expected a mask \(5,\)"),
        ([[1, 2]], ShapeError, r"an array \(1, 2\)"),
        ([0, 7], OutOfRangeError, "no image 7, expected -5 to 4"),
        ([-6], OutOfRangeError, "no image -6"),
    ],
)
def test_anything_else_is_refused(wanted: Any, kind: type[EdgeOodError], message: str) -> None:
    """With what arrived, never with an error from inside NumPy."""
    with pytest.raises(kind, match=message):
        positions_of(wanted, 5)


def test_whole_numbers_are_told_from_truth_values() -> None:
    """Which Python takes for 0 and 1."""
    assert [True, True, False, False, False] == [
        is_number(value) for value in (1, np.int8(1), True, np.True_, 1.0)
    ]
