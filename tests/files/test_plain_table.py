"""Plain-text tables."""

import pytest

from edge_ood.files.plain_table import format_table


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
