"""Where probabilities are from, said of files that edge-ood wrote, and of others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.probabilities_text import probabilities_record, probabilities_text
from edge_ood.runtime.scorer import Scorer

CHOSEN = {
    "chosen_on": "validation",
    "asked_for": False,
    "images": 500,
    "nll_before": 0.9,
    "nll_after": 0.4,
    "ece_before": 0.0411,
    "ece_after": 0.01249,
    "why": "",
}


@pytest.fixture(scope="module")
def metadata(colour_artifact: Path) -> Metadata:
    """Of a real artefact."""
    return Scorer(colour_artifact).metadata


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, ""),
        (CHOSEN, ", from 500 validation images: calibration error (ECE) 4.11 % before, 1.25 % aft"),
        (
            {**CHOSEN, "chosen_on": "calibration", "images": 40},
            ", from 40 calibration images that set no threshold: calibration error (ECE) 4.11 %",
        ),
        ({**CHOSEN, "why": "no prediction\x1b is wrong"}, ": of 500 validation images, no predi"),
        ({"chosen_on": "", "asked_for": True}, ", as asked for"),
        ({"chosen_on": "", "asked_for": False}, ": no labelled images but those that trained"),
    ],
)
def test_one_line_says_where_the_temperature_is_from(
    metadata: Metadata, record: dict[str, Any] | None, said: str
) -> None:
    """Chosen, kept at 1, asked for, or nothing known."""
    provenance = {} if record is None else {"temperature": record}
    found = probabilities_text(replace(metadata, temperature=1.732051, provenance=provenance))

    assert found.startswith(f"class probabilities at temperature 1.732{said}")
    assert "\x1b" not in found
    assert "\n" not in found


@pytest.mark.parametrize(
    "record",
    [
        "text",
        {},
        {**CHOSEN, "images": "500"},
        {**CHOSEN, "ece_after": None},
        {**CHOSEN, "why": 3},
        {**CHOSEN, "asked_for": 1},
    ],
)
def test_of_what_edge_ood_did_not_write_the_temperature_remains(
    metadata: Metadata, record: Any
) -> None:
    """Anything may stand in a file."""
    changed = replace(metadata, temperature=2.0, provenance={"temperature": record})

    assert {"temperature": 2.0, "chosen_on": "", "asked_for": False} == probabilities_record(
        changed
    )
    assert probabilities_text(changed).startswith("class probabilities at temperature 2")
