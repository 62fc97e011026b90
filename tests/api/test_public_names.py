"""What `from edge_ood import ...` offers, and nothing else."""

import subprocess
import sys

import pytest

import edge_ood

PUBLIC = [
    "Attached",
    "CalibrationReport",
    "EdgeOodError",
    "Evaluation",
    "Explanation",
    "Row",
    "Scorer",
    "Scores",
    "TrainReport",
    "Verdict",
    "attach",
    "calibrate",
    "evaluate",
    "explain",
    "export",
    "train",
]


def test_public_names_are_these() -> None:
    """A change of the list is a change of the contract."""
    assert PUBLIC == edge_ood.__all__
    assert PUBLIC == dir(edge_ood)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    """It imports, says what it is, and bears its own name."""
    found = getattr(edge_ood, name)

    assert name == found.__name__
    assert found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="has no attribute 'predict'"):
        _ = edge_ood.predict


def test_no_package_hides_a_function() -> None:
    """Whatever is imported first, `edge_ood.train` is the function."""
    code = (
        "import edge_ood.training.progress, edge_ood.api.train, edge_ood.api.export\n"
        "import edge_ood.runtime.calibrate, edge_ood.evaluation.evaluate, edge_ood\n"
        "print(*(callable(getattr(edge_ood, n)) for n in "
        "('train', 'export', 'attach', 'evaluate', 'explain', 'calibrate')))"
    )
    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)

    assert "True True True True True True" == done.stdout.strip()
