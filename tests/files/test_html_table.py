"""Tables of HTML: every cell in its place, and text that is text."""

import pytest

from edge_ood.files.html_table import html_lines, html_table

HOSTILE = "<img src=x onerror=alert(1)>\"'&\x1b"
ESCAPED = r"&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;\x1b"


@pytest.mark.parametrize("place", ["heading", "cell", "title", "note"])
def test_text_is_escaped_everywhere(place: str) -> None:
    """In headings, cells, titles and notes; control characters are spelled out."""
    text = dict.fromkeys(("heading", "cell", "title", "note"), "") | {place: HOSTILE}

    table = html_table(
        [text["heading"]], [[text["cell"]]], title=text["title"], notes=[text["note"]]
    )

    assert 1 == table.count(ESCAPED)
    assert "<img" not in table


def test_columns_are_aligned() -> None:
    """The first ones on the left."""
    table = html_table(["a", "b", "c"], [], left=2)

    sides = [part.partition('"')[0] for part in table.split("text-align: ")[1:]]
    assert ["left", "left", "right"] == sides


def test_marked_rows_are_bold() -> None:
    """All of their cells, and no other."""
    table = html_table(["a", "b"], [["1", "2"], ["3", "4"]], marked=[1])

    assert ["3", "4"] == [part.partition("</b>")[0] for part in table.split("<b>")[1:]]


def test_lines_stand_below_each_other() -> None:
    """In one paragraph."""
    assert "<p>a<br>b &lt; c</p>" == html_lines(["a", "b < c"])
