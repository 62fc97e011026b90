"""Energies of a run directory: summarised, written, read back, and refused where damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ood.errors import ArtifactError
from edge_ood.training.energies import Energies, EnergySample, read_energies, write_energies


def some_energies() -> Energies:
    generator = np.random.default_rng(0)
    before = {role: EnergySample.of(generator.normal(-3, 2, 250)) for role in ("training", "pool")}
    return Energies(before, {"training": EnergySample.of([-7.5])})


def test_a_sample_has_mean_and_percentiles() -> None:
    """They are those of numpy.percentile, from the smallest to the largest energy."""
    energies = np.random.default_rng(1).normal(-9, 3, 1000)

    sample = EnergySample.of(energies)

    assert 1000 == sample.n
    assert energies.mean() == pytest.approx(sample.mean)
    np.testing.assert_allclose(sample.quantiles, np.percentile(energies, np.arange(101)))


def test_energies_are_read_back(tmp_path: Path) -> None:
    """What is written survives the round trip, a sample of one image too."""
    write_energies(tmp_path, some_energies())

    assert some_energies() == read_energies(tmp_path)


def test_a_run_without_energies_is_read(tmp_path: Path) -> None:
    """A run directory without the file is no damage."""
    assert read_energies(tmp_path) is None


def edited(path: Path, **changes: Any) -> str:
    """The file with other values in the first sample."""
    document = json.loads(path.read_text("utf-8"))
    document["before"]["training"].update(changes)
    return json.dumps(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantiles": [0.0] * 100},
        {"quantiles": [1.0] + [0.0] * 100},
        {"quantiles": ["0"] * 101},
        {"mean": float("nan")},
        {"mean": None},
        {"n": 0},
        {"n": True},
    ],
)
def test_damaged_samples_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Missing and falling values, and those of another type, are named as damage, with a way on."""
    write_energies(tmp_path, some_energies())
    path = tmp_path / "energies.json"
    path.write_text(edited(path, **changes), "utf-8")

    with pytest.raises(ArtifactError, match=r"energies\.json' is damaged") as caught:
        read_energies(tmp_path)

    assert "train again" == caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"format": 1}', b'{"format": "1"}'])
def test_a_file_without_energies_is_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes, lists and half a document are refused."""
    (tmp_path / "energies.json").write_bytes(content)

    with pytest.raises(ArtifactError, match="is damaged"):
        read_energies(tmp_path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    """It is no damage, and the hint is to upgrade."""
    (tmp_path / "energies.json").write_text('{"format": 2}')

    with pytest.raises(ArtifactError, match="has format 2, this edge-ood reads up to 1") as caught:
        read_energies(tmp_path)

    assert "upgrade" in str(caught.value.hint)
