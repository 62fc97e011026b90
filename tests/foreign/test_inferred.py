"""The table of what was found out: its width, and that it comes back out of the metadata."""

import json

import pytest

from edge_ood.foreign.inferred import Inferred, inferred_from, inferred_text, stored

ROWS = [
    Inferred("layout", "nchw", "certain", "input 'image' float32 (N, 3, 224, 224)"),
    Inferred("features", "/model/backbone/blocks.11/mlp/fc2/Gemm_output_0", "given", "--features"),
    Inferred("channels", "rgb", "measured", "of 128 labelled images it knows 91.0% " * 3),
    Inferred("classes", "1000: " + "tench, " * 9, "assumed", ""),
]


def test_a_table_fits_a_terminal_and_loses_nothing() -> None:
    """At most 80 columns; long cells go on below, aligned, with nothing beside them."""
    lines = inferred_text(ROWS).splitlines()

    assert max(map(len, lines)) <= 80
    for row in ROWS:
        for cell in (row.value, row.evidence):
            assert "".join(cell.split()) in "".join(column_of(lines, cell is row.evidence))
    assert {"layout", "features", "channels", "classes"} == {
        line.split()[0] for line in lines[2:] if line[0] != " "
    }


def column_of(lines: list[str], last: bool) -> list[str]:
    """The cells of one column without blanks, told by the rule below the headings."""
    starts = [
        i for i, mark in enumerate(f" {lines[1]}") if mark == "-" and f" {lines[1]}"[i - 1] == " "
    ]
    first = starts[3 if last else 1] - 1
    end = None if last else starts[2] - 1
    return ["".join(line[first:end].split()) for line in lines]


def test_control_characters_of_a_file_reach_no_terminal() -> None:
    """Names in a file are anybody's."""
    text = inferred_text([Inferred("output", "\x1b[2J", "certain", "\u202eelif")])

    assert "\x1b" not in text
    assert "\u202e" not in text


def test_what_was_stored_comes_back() -> None:
    """As JSON has it."""
    provenance = json.loads(json.dumps({"inferred": stored(ROWS)}))

    assert ROWS == inferred_from(provenance)


@pytest.mark.parametrize("damaged", [None, 3, [1], {"layout": "nchw"}, {"layout": ["nchw"]}])
def test_damaged_provenance_tells_nothing(damaged: object) -> None:
    """A page or a table about an artefact is no place for a traceback."""
    assert [] == inferred_from({"inferred": damaged})
