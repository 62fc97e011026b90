"""Weights on disk: what is read back, and what is refused."""

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from edge_ood.errors import ArtifactError
from edge_ood.models import build_classifier
from edge_ood.training.run_directory import read_run
from edge_ood.training.run_weights import load_model


@pytest.fixture
def copied_run(run_path: Path, tmp_path: Path) -> Path:
    """A finished run that a test may damage."""
    return Path(shutil.copytree(run_path, tmp_path / "run"))


def test_a_loaded_model_has_the_saved_weights(run_path: Path) -> None:
    """The trunk of the loaded network holds the file's tensors, bit for bit."""
    saved = safetensors.torch.load_file(run_path / "model.safetensors")

    loaded = load_model(read_run(run_path)).state_dict()

    trunk = [name for name in saved if name.startswith("trunk.")]
    assert len(trunk) > 0
    assert all(torch.equal(saved[name], loaded[name]) for name in trunk)


def test_a_loaded_model_is_ready_for_inference(run_path: Path) -> None:
    """Dropout and batch statistics are off."""
    assert not any(module.training for module in load_model(read_run(run_path)).modules())


def test_missing_weights_say_that_the_run_is_unfinished(copied_run: Path) -> None:
    """A run without weights is an error whose hint is how to continue."""
    (copied_run / "model.safetensors").unlink()

    with pytest.raises(ArtifactError, match=r"cannot read .*safetensors") as caught:
        load_model(read_run(copied_run))

    assert "--resume" in str(caught.value.hint)


def test_truncated_weights_are_an_error(copied_run: Path) -> None:
    """Half a weight file is reported as damage, without a stack trace."""
    weights = copied_run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    with pytest.raises(ArtifactError, match="damaged"):
        load_model(read_run(copied_run))


def test_weights_of_another_network_are_an_error(copied_run: Path) -> None:
    """Weights that do not fit the configured network are reported as damage."""
    other = build_classifier("wrn-10-2", 8, heads=2).state_dict()
    (copied_run / "model.safetensors").write_bytes(safetensors.torch.save(other))

    with pytest.raises(ArtifactError, match="damaged"):
        load_model(read_run(copied_run))
