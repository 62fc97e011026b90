"""An evaluation is a sequence of its artefacts, which have names."""

from types import SimpleNamespace
from typing import Any

import pytest

from edge_ood.errors import InputError, OutOfRangeError, UnknownNameError
from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.results import Bootstrap

FIRST, SECOND = (SimpleNamespace(name=name) for name in ("energy-run", "baseline"))


@pytest.fixture
def evaluation() -> Evaluation:
    """Of two artefacts."""
    models: Any = (FIRST, SECOND)
    return Evaluation("0", "id", models, Bootstrap(0), None, False)


def test_artefacts_are_counted_and_iterated(evaluation: Evaluation) -> None:
    """In the order in which they were given."""
    assert 2 == len(evaluation)
    assert [FIRST, SECOND] == list(evaluation)


@pytest.mark.parametrize("wanted", [1, -1, "baseline"])
def test_an_artefact_is_found_by_number_and_name(wanted: Any, evaluation: Evaluation) -> None:
    """Numbers count from either end."""
    assert SECOND is evaluation[wanted]


def test_a_name_is_in_it(evaluation: Evaluation) -> None:
    """As in a dictionary, and an artefact as in a list."""
    assert [True, True, False] == [
        wanted in evaluation for wanted in ("baseline", FIRST, "another")
    ]


def test_an_unknown_name_is_answered_with_the_closest(evaluation: Evaluation) -> None:
    """It is a lookup error of Python, too."""
    with pytest.raises(
        LookupError, match="unknown artefact of this evaluation 'baselin-e'"
    ) as found:
        evaluation["baselin-e"]

    assert isinstance(found.value, UnknownNameError)
    assert "did you mean 'baseline'?" == found.value.hint


@pytest.mark.parametrize(
    ("wanted", "kind", "message"),
    [
        (2, OutOfRangeError, "no artefact 2, expected -2 to 1"),
        (True, InputError, "an artefact chosen by True, expected a name or a number"),
        (None, InputError, "an artefact chosen by None"),
        (slice(1), InputError, "an artefact chosen by slice"),
    ],
)
def test_what_names_no_artefact_is_refused(
    wanted: Any, kind: type[Exception], message: str, evaluation: Evaluation
) -> None:
    """With what arrived, and what was expected."""
    with pytest.raises(kind, match=message):
        evaluation[wanted]
