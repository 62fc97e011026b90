"""Training on a CUDA device; skipped where there is none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_training import SIDE, WITH_OUTLIERS

from edge_ood.images.preprocess import Preprocess
from edge_ood.training.progress import SILENT, Progress, StepReport, TrainReport
from edge_ood.training.run_directory import read_metrics, read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

pytestmark = pytest.mark.gpu

CUDA = Launch(device="cuda")


def run_training(
    images: Path, output: Path, launch: Launch = CUDA, progress: Progress = SILENT, **options: Any
) -> TrainReport:
    parts = ("train", "outliers", "calibration", "validation")
    folders = Folders(*(images / part for part in parts))
    settings = replace(WITH_OUTLIERS, **options)
    return train(folders, settings, Preprocess(SIDE), output, launch=launch, progress=progress)


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "model.safetensors")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_tells_dark_from_bright(tiny_images: Path, tmp_path: Path, precision: str) -> None:
    """Dark and bright images are told apart; the record says where; the weights stay float32."""
    report = run_training(tiny_images, tmp_path / "run", precision=precision)

    assert report.validation_accuracy > 0.9
    assert "cuda" == read_run(tmp_path / "run").config.environment["device"]
    weights = weights_of(tmp_path / "run")
    assert {torch.float32, torch.int64} == {weight.dtype for weight in weights.values()}


def test_losses_are_those_of_the_cpu(tiny_images: Path, tmp_path: Path) -> None:
    """The same seed gives the same batches and first weights, so the losses nearly agree."""
    run_training(tiny_images, tmp_path / "cpu", Launch(device="cpu"))
    run_training(tiny_images, tmp_path / "cuda")

    expected, actual = (
        [epoch.training_loss for epoch in read_metrics(tmp_path / name)] for name in ("cpu", "cuda")
    )
    assert expected == pytest.approx(actual, rel=0.02)


@pytest.mark.parametrize("other", ["cuda", "cpu"])
def test_an_interrupted_run_goes_on_where_it_was(
    tiny_images: Path, tmp_path: Path, other: str
) -> None:
    """Stopped after its first epoch and resumed on either device, it ends like the whole run."""
    run_training(tiny_images, tmp_path / "whole")

    def stop(report: StepReport) -> None:
        if report.step >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(tiny_images, tmp_path / "halves", progress=Progress(on_step=stop))
    run_training(tiny_images, tmp_path / "halves", Launch(device=other, resume=True))

    expected, actual = (weights_of(tmp_path / name) for name in ("whole", "halves"))
    for name, weight in expected.items():
        torch.testing.assert_close(actual[name], weight, rtol=0.05, atol=0.01)


def test_the_weights_load_on_the_cpu(tiny_images: Path, tmp_path: Path) -> None:
    """A run from a GPU is exported from anywhere."""
    run_training(tiny_images, tmp_path / "run")

    logits = load_model(read_run(tmp_path / "run"))(torch.zeros(2, 3, SIDE, SIDE)).logits

    assert torch.device("cpu") == logits.device
    assert logits.isfinite().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")
def test_compiled_losses_are_those_of_the_eager_run(tiny_images: Path, tmp_path: Path) -> None:
    """CUDA graphs replay what the eager steps do."""
    run_training(tiny_images, tmp_path / "eager")
    run_training(tiny_images, tmp_path / "compiled", compile=True)

    expected, actual = (
        [epoch.training_loss for epoch in read_metrics(tmp_path / name)]
        for name in ("eager", "compiled")
    )
    assert expected == pytest.approx(actual, rel=0.01)
