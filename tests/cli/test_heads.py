"""`edge-ood heads`: the registry as a table."""

from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.scores import HEADS


def test_every_head_is_listed_with_its_source() -> None:
    """One line each, in name order, with what it reads."""
    result = CliRunner().invoke(app, ["heads"])

    lines = result.stdout.partition("\nNot recommended")[0].splitlines()[2:]
    assert 0 == result.exit_code
    assert HEADS.names() == [line.split()[0] for line in lines]
    for line in lines:
        head = HEADS.get(line.split()[0])
        assert line.endswith(head.source)
        assert ", ".join(head.inputs) in line


def test_parameters_and_fitting_are_shown() -> None:
    """As they are written in --scores."""
    lines = {
        line.split()[0]: line for line in CliRunner().invoke(app, ["heads"]).stdout.splitlines()
    }

    assert "temperature=1.0" in lines["energy"]
    assert "training images" in lines["mahalanobis"]
    assert "training images" not in lines["energy"]


def test_the_direction_is_said() -> None:
    """The last line is the one rule that holds for all of them."""
    text = CliRunner().invoke(app, ["heads"]).stdout

    assert "Larger scores are more out-of-distribution" in text.splitlines()[-1]


def test_what_is_there_for_comparison_alone_is_said_with_the_reason() -> None:
    """Between the table and the last lines."""
    text = CliRunner().invoke(app, ["heads"]).stdout

    compared = [name for name in HEADS.names() if HEADS.get(name).not_recommended]
    assert "ash" in compared
    for name in compared:
        assert f"  {name}: {HEADS.get(name).not_recommended}." in text.splitlines()
