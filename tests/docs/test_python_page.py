"""The page about Python runs as it stands, and lists what there is."""

import re
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

import edge_ood

pytest.importorskip("torch")
pytest.importorskip("pandas")
pytestmark = [
    pytest.mark.source,
    # The classifier of these colours makes no mistake, so none can be detected.
    pytest.mark.filterwarnings("ignore::edge_ood.metrics.detection.UndefinedMetricWarning"),
]
PAGE = Path(__file__).parents[2] / "docs" / "python.md"
FUNCTIONS = ("attach", "calibrate", "evaluate", "explain", "export", "train")


def test_the_code_of_the_page_runs(
    colours: Path,
    foreign_network: Callable[..., ModelProto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One block after the other, as a reader pastes them."""
    (tmp_path / "data").symlink_to(colours)
    onnx.save(foreign_network(), tmp_path / "classifier.onnx")
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}

    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(code, known)

    said = capsys.readouterr().out
    assert "wrote 'runs/first': validation accuracy" in said
    assert "calibrated on 60 images" in said
    assert known["best"] in ("energy", "mahalanobis")
    assert {"evaluation.html", "exported", "runs"} <= {path.name for path in tmp_path.iterdir()}


def test_the_page_lists_every_function() -> None:
    """Those of `edge_ood.__all__` that are no results."""
    listed = set(re.findall(r"^\| `edge_ood\.(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))

    assert {*FUNCTIONS, "Scorer"} == listed
    assert listed <= set(edge_ood.__all__)
