"""The demo: which commands it runs, and what it leaves."""

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_ood.cli.app import app


@pytest.mark.parametrize("extra", [True, False])
def test_pages_are_made_and_listed_where_the_extra_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: bool
) -> None:
    """Without matplotlib or Jinja2 the demo runs all the same and claims no page."""
    commands: list[list[str]] = []
    pages = [tmp_path / "run/report.html", tmp_path / "evaluation.html"]

    def run(command: list[str]) -> None:
        commands.append(command)
        for page in pages if extra else ():
            page.parent.mkdir(exist_ok=True)
            page.touch()

    monkeypatch.setattr("edge_ood.cli.demo._run", run)
    if not extra:
        found = importlib.util.find_spec
        missing = ("jinja2", "matplotlib")
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *p: None if name in missing else found(name, *p),
        )

    result = CliRunner().invoke(app, ["demo", "-o", str(tmp_path)])

    assert 0 == result.exit_code, result.stderr
    assert ["train", "export", "score", "evaluate"] == [command[0] for command in commands]
    assert extra == ("--report" in commands[-1])
    assert [extra, extra] == [f"  {page}\n" in result.stdout for page in pages]
