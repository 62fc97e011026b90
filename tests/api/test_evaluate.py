"""`edge_ood.evaluate` takes sets in every form that people write them in."""

import json
from pathlib import Path
from typing import Any

import pytest

import edge_ood
from edge_ood.errors import InputError

# The classifier of these colours makes no mistake, so none can be detected.
pytestmark = pytest.mark.filterwarnings("ignore::edge_ood.metrics.detection.UndefinedMetricWarning")


@pytest.mark.parametrize(
    ("sets", "names"),
    [
        ({"near": "train"}, ["train"]),
        ({"near": ["train", "calibration"]}, ["train", "calibration"]),
        ({"far": {"tinted": "train"}}, ["tinted"]),
        ({"ood": "gaussian:count=5", "far": {"grey": "uniform:count=5"}}, ["gaussian", "grey"]),
    ],
)
def test_sets_are_named_as_on_the_command_line(
    sets: dict[str, Any],
    names: list[str],
    colour_artifact: Path,
    colours: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One folder, several, by name, or kinds of synthetic images."""
    monkeypatch.chdir(colours)

    result = edge_ood.evaluate(
        colour_artifact, id="test", bootstrap=0, allow_seen=True, provider="cpu", **sets
    )

    assert names == list(result.models[0].ood)


def test_a_path_is_a_folder_whatever_its_name(
    colour_artifact: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Path("gaussian")` is no kind of synthetic images."""
    (tmp_path / "gaussian").symlink_to(colours / "calibration")
    monkeypatch.chdir(tmp_path)

    result = edge_ood.evaluate(
        colour_artifact,
        id=colours / "test",
        far=Path("gaussian"),
        bootstrap=0,
        allow_seen=True,
        provider="cpu",
    )

    assert ["files"] == [found.kind for found in result.models[0].ood.values()]


def test_files_are_written_and_say_the_same(
    colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """The document on disk is the result's own."""
    result = edge_ood.evaluate(
        [colour_artifact],
        id=colours / "test",
        far="gaussian:count=5",
        bootstrap=0,
        json=tmp_path / "e.json",
        csv=tmp_path / "e.csv",
        provider="cpu",
    )

    assert result.to_json() == json.loads((tmp_path / "e.json").read_text("utf-8"))
    assert len((tmp_path / "e.csv").read_text("utf-8").splitlines()) > 1


def test_two_outputs_of_one_name_are_refused(colour_artifact: Path, tmp_path: Path) -> None:
    """Before anything is scored."""
    same = tmp_path / "out"

    with pytest.raises(InputError, match="is to be two outputs"):
        edge_ood.evaluate(colour_artifact, id=tmp_path / "nowhere", json=same, csv=same)
