"""Plain-text tables."""

import pytest

from edge_ood.files.plain_table import WIDTH, format_table


def test_columns_are_aligned():
    """The first column is aligned on the left, the others on the right, without trailing space."""
    expected = "\n".join(
        [
            "head      AUROC     FPR95",
            "                 positive",
            "--------  -----  --------",
            "energy *  98.10      1.00",
            "msp        7.00    100.00",
        ]
    )

    table = format_table(
        ["head\n", "AUROC\n", "FPR95\npositive"],
        [["energy *", "98.10", "1.00"], ["msp", "7.00", "100.00"]],
    )

    assert expected == table


def test_shorter_headings_stand_at_the_bottom():
    """A heading of one line stands on the last line of the taller ones."""
    lines = format_table(["a", "b\nc", "d"], []).splitlines()

    assert ["   b", "a  c  d", "-  -  -"] == lines


def test_row_with_a_missing_cell_is_a_bug():
    """A row must have as many cells as there are headings."""
    with pytest.raises(ValueError, match="zip"):
        format_table(["a", "b"], [["1", "2"], ["3"]])


def test_columns_that_do_not_fit_stand_below() -> None:
    """With room for ten letters, the second and the third column have tables of their own."""
    rows = [("ab", "12345", "678"), ("c", "9", "1")]
    whole = format_table(("name", "one", "two"), rows)
    token = WIDTH.set(11)
    try:
        found = format_table(("name", "one", "two"), rows)
    finally:
        WIDTH.reset(token)

    assert 16 == len(whole.splitlines()[0])
    assert found == (
        "name    one\n----  -----\nab    12345\nc         9\n"
        "\n"
        "name  two\n----  ---\nab    678\nc       1"
    )


def test_a_column_that_fits_nowhere_stands_alone() -> None:
    """Nothing is cut: a terminal wraps it."""
    token = WIDTH.set(3)
    try:
        found = format_table(("name", "one"), [("ab", "12345")])
    finally:
        WIDTH.reset(token)

    assert "name    one\n----  -----\nab    12345" == found
