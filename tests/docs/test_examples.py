"""The examples in docstrings show what the functions answer."""

import doctest
import importlib

import pytest

MODULES = (
    "edge_ood.calibration.threshold",
    "edge_ood.metrics.beta",
    "edge_ood.metrics.bootstrap",
    "edge_ood.metrics.classification",
    "edge_ood.metrics.detection",
    "edge_ood.metrics.exact_intervals",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_answer_as_they_say(name: str) -> None:
    """Each of these modules has examples, and running one prints what stands below it."""
    found = doctest.testmod(importlib.import_module(name))

    assert 0 < found.attempted
    assert 0 == found.failed
