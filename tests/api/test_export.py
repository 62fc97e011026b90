"""`edge_ood.export` and `edge_ood.attach` make what their commands make."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

import edge_ood
from edge_ood.errors import InputError, UsageError
from edge_ood.runtime.scorer import Scorer


def test_a_run_is_exported_with_plain_options(run_path: Path, tmp_path: Path) -> None:
    """Scores as text or as a list, and a rate."""
    path = tmp_path / "digits.onnx"

    attached = edge_ood.export(
        str(run_path), str(path), scores=["energy", "msp"], primary="msp", alpha=0.1, provider="cpu"
    )

    metadata = Scorer(path, provider="cpu").metadata
    assert path == attached.path
    assert (("energy", "msp"), "msp", 0.1) == (
        metadata.head_names,
        metadata.primary,
        metadata.calibration.alpha,
    )


def test_a_file_of_before_is_kept(run_path: Path, tmp_path: Path) -> None:
    """Without `force` nothing is replaced."""
    path = tmp_path / "digits.onnx"
    path.write_text("precious")

    with pytest.raises(InputError, match="exists"):
        edge_ood.export(run_path, path)

    assert "precious" == path.read_text()


@pytest.mark.parametrize(
    ("run", "described", "message"),
    [
        (None, {}, "give a run directory, or --model, --weights, --train, --calibration"),
        (None, {"model": "resnet18"}, "--weights, --train, --calibration is needed, too"),
        ("runs/x", {"image_size": 32}, "a run directory knows its --image-size; leave them out"),
    ],
)
def test_half_a_description_is_refused(
    run: str | None, described: dict[str, object], message: str
) -> None:
    """A run directory or all that stands for one, and nothing in between."""
    with pytest.raises(UsageError, match=message):
        edge_ood.export(run, "x.onnx", **described)


def test_somebody_elses_classifier_is_attached(
    foreign_network: Callable[..., ModelProto], colours: Path, tmp_path: Path
) -> None:
    """Steps are announced, and the class names are those of the folders."""
    onnx.save(foreign_network(), tmp_path / "foreign.onnx")
    steps: list[str] = []

    attached = edge_ood.attach(
        tmp_path / "foreign.onnx",
        tmp_path / "x.onnx",
        calibration=colours / "calibration",
        id=colours / "train",
        pixels="unit",
        scores="energy",
        provider="cpu",
        on_step=steps.append,
    )

    assert ("=green", "red apple", "蓝\u2215blue") == attached.metadata.classes
    assert ["read", "images", "try"] == steps[:3]


def test_numbers_of_channels_are_three_or_one(colours: Path, tmp_path: Path) -> None:
    """As text or as numbers; anything else is said."""
    with pytest.raises(UsageError, match=r"--mean is \(0.1, 0.2\), expected three numbers"):
        edge_ood.attach("x.onnx", tmp_path / "y.onnx", calibration=colours, mean=(0.1, 0.2), std=1)
