"""`--compile` changes the speed and the last bits, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_training import CPU, SIDE, WITH_OUTLIERS
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.devices import start_fabric
from edge_ood.training.progress import SILENT, Progress, StepReport
from edge_ood.training.run_directory import RunConfig, read_metrics, read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.session import start_session
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders, read_training_set

SETTINGS = replace(WITH_OUTLIERS, compile=True)


def folders(images: Path) -> Folders:
    parts = ("train", "outliers", "calibration", "validation")
    return Folders(*(images / part for part in parts))


def run_training(
    images: Path, output: Path, launch: Launch = CPU, progress: Progress = SILENT, **settings: Any
) -> None:
    chosen = replace(SETTINGS, **settings)
    train(folders(images), chosen, Preprocess(SIDE), output, launch=launch, progress=progress)


@pytest.fixture(scope="module")
def compiled_run(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with --compile, read only."""
    output = tmp_path_factory.mktemp("compiled") / "run"
    run_training(tiny_images, output)
    return output


@pytest.fixture(scope="module")
def eager_run(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without, read only."""
    output = tmp_path_factory.mktemp("eager") / "run"
    run_training(tiny_images, output, compile=False)
    return output


def test_a_missing_compiler_is_one_line(tiny_images: Path, tmp_path: Path) -> None:
    """The command says what is missing, with a way on, before a folder is made."""
    from torch._inductor import config

    arguments = ["train", str(tiny_images / "train"), "-o", str(tmp_path / "run"), "--compile"]
    with config.patch({"cpp.cxx": (None, "/no/such/g++")}):
        result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])

    error, hint = result.stderr.splitlines()
    assert (1, "") == (result.exit_code, result.stdout)
    assert error.startswith("error: torch.compile does not work here: ")
    assert "/no/such/g++" in error
    assert "drop --compile" in hint
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_losses_and_weights_are_those_of_the_eager_run(compiled_run: Path, eager_run: Path) -> None:
    """Eight steps of either end with the same numbers, up to rounding."""
    expected, actual = read_metrics(eager_run), read_metrics(compiled_run)
    losses = [epoch.training_loss for epoch in expected]
    assert losses == pytest.approx([epoch.training_loss for epoch in actual], rel=1e-5)

    weights = [
        safetensors.torch.load_file(r / "model.safetensors") for r in (eager_run, compiled_run)
    ]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_weights_load_without_compiling(compiled_run: Path, eager_run: Path) -> None:
    """A compiled run's network is an ordinary one."""
    images = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        expected, actual = (
            load_model(read_run(r))(images).logits for r in (eager_run, compiled_run)
        )

    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_an_interrupted_compiled_run_ends_with_the_same_weights(
    tiny_images: Path, tmp_path: Path
) -> None:
    """Stopped after its first epoch and resumed, it ends with the same bits, dropout included."""
    options = {"model": Spec("wrn-10-1", {"dropout": 0.1})}
    run_training(tiny_images, tmp_path / "whole", **options)

    def stop(report: StepReport) -> None:
        if report.step >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(tiny_images, tmp_path / "halves", progress=Progress(on_step=stop), **options)
    assert (tmp_path / "halves" / "last.ckpt").exists()
    run_training(tiny_images, tmp_path / "halves", replace(CPU, resume=True), **options)

    whole, halves = (tmp_path / name / "model.safetensors" for name in ("whole", "halves"))
    assert whole.read_bytes() == halves.read_bytes()


@pytest.mark.slow
def test_what_heads_read_is_compiled_with_them(tiny_images: Path, tmp_path: Path) -> None:
    """Features that are normalised between trunk and heads give the losses of the eager run."""
    images = replace(folders(tiny_images), outliers=None)
    settings = replace(SETTINGS, objective=Spec("feature-norm", {"tau": 0.5}))

    for name, chosen in (("eager", replace(settings, compile=False)), ("compiled", settings)):
        train(images, chosen, Preprocess(SIDE), tmp_path / name, launch=CPU)

    eager, found = (read_metrics(tmp_path / name) for name in ("eager", "compiled"))
    losses = [epoch.training_loss for epoch in eager]
    assert losses == pytest.approx([epoch.training_loss for epoch in found], rel=1e-4)


@pytest.mark.slow
def test_a_run_is_not_resumed_with_another_choice(tiny_images: Path, eager_run: Path) -> None:
    """Compiled and eager steps differ in their last bits, so they are never mixed."""
    with pytest.raises(InputError, match="compile was False and is True"):
        run_training(tiny_images, eager_run, replace(CPU, resume=True))


@pytest.mark.slow
def test_each_shape_is_compiled_once(tiny_images: Path, tmp_path: Path) -> None:
    """ID images alone and joined with outliers are two graphs, however often they alternate."""
    from torch._dynamo.utils import counters

    fabric = start_fabric("cpu", SETTINGS)
    images = read_training_set(folders(tiny_images), Preprocess(SIDE), seed=0, scratch=tmp_path)
    config = RunConfig(SETTINGS, images.splits["training"].classes, Preprocess(SIDE))
    session = start_session(fabric, config, images)
    torch.compiler.reset()
    counters.clear()

    for step in range(4):
        batch = session.batches.at(step)
        assert batch.outliers is not None
        for pixels in (batch.images, torch.cat([batch.images, batch.outliers])):
            fabric.backward(session.model(pixels).logits.sum())

    assert 2 == counters["stats"]["unique_graphs"]
    assert not counters["graph_break"]
