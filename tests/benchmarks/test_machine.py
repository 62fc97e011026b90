"""The first line that a benchmark prints."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not installed")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`benchmarks/machine.py`."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__("machine")


def test_the_line_says_what_ran_and_how_often(module: Any) -> None:
    """Versions of what the numbers depend on, and n as the benchmark says it."""
    line = module.machine("medians of 5 rounds")

    assert "\n" not in line
    for package in ("torch", "onnxruntime", "edge-ood"):
        assert f"{package} {version(package)}" in line
    assert line.endswith("; medians of 5 rounds")


def test_the_processor_has_the_name_that_the_kernel_knows(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several equal cores the first one's; no file, or none with a name, is no error."""
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor\t: 0\nmodel name\t: A64 @ 2: GHz\nmodel name\t: other\n")
    monkeypatch.setattr(module, "CPU_INFO", listed)
    assert "A64 @ 2: GHz" == module.processor()

    monkeypatch.setattr(module, "CPU_INFO", tmp_path / "none")
    assert module.processor()
