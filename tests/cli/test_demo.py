"""The demo: which commands it runs, and what it leaves."""

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_ood.cli.app import app

SCORES = """\
path,label,is_ood,pvalue
./images/mixed/test_grass_000.png,grass,false,0.5
./images/mixed/near_moon_000.png,gravel,true,0.005
./images/mixed/test_brick_000.png,brick,false,0.9
"""


@pytest.mark.parametrize("extra", [True, False])
def test_pages_are_made_and_listed_where_the_extra_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: bool
) -> None:
    """Without matplotlib or Jinja2 the demo runs all the same and claims no page."""
    commands: list[list[str]] = []
    pages = [tmp_path / "run/report.html", tmp_path / "evaluation.html"]

    def run(command: list[str]) -> None:
        commands.append(command)
        if command[0] == "score":
            (tmp_path / "scores.csv").write_text(SCORES)
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
    assert [extra, extra] == [f"  {page}: " in result.stdout for page in pages]
    trusted = tmp_path / "images/mixed/test_brick_000.png"
    suspicious = tmp_path / "images/mixed/near_moon_000.png"
    assert f"accepted as brick, p 0.900: {trusted}\n" in result.stdout
    assert f"refused as gravel, p 0.005: {suspicious}\n" in result.stdout
    assert trusted.is_file()
    assert suspicious.is_file()
