"""`edge_ood.train(weights=...)`: what is taken, what must be said, and what contradicts itself."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision

import edge_ood
from edge_ood.errors import ArtifactError, ChanceLevelError, InputError, UsageError
from edge_ood.images.preprocess import Preprocess
from edge_ood.training.run_directory import read_run

MODEL = "mobilenet_v3_small"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Somebody's network for seven classes."""
    torch.manual_seed(0)
    state = torchvision.models.get_model(MODEL, weights=None, num_classes=7).state_dict()
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_weights_bring_recipe_and_preprocessing(
    weights: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """What is not given is the recipe's, and torchvision's; what is given goes before both."""
    with contextlib.suppress(ChanceLevelError):
        edge_ood.train(
            tiny_images / "train",
            tmp_path / "run",
            model=MODEL,
            weights=weights,
            image_size=32,
            epochs=1,
            freeze="all",
            head_lr=3.0,
            augmentation="none",
            device="cpu",
        )

    config = read_run(tmp_path / "run").config
    preset = torchvision.models.get_model_weights(MODEL).DEFAULT.transforms()
    mean, std = tuple(preset.mean), tuple(preset.std)
    assert Preprocess(32, mean, std) == config.preprocess
    settings = config.settings
    assert ("fine-tune", "all", 3.0, 1) == (
        settings.recipe,
        settings.freeze,
        settings.head_rate,
        settings.epochs,
    )


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"new_head": True}, "--new-head is about the weights", "drop it"),
        ({"freeze": 1}, "--freeze is about the weights", "drop it"),
        ({"mean": 0.5}, "--mean is about the weights", "drop it"),
        ({"batch_norm": "frozen"}, "--batch-norm is about the weights", "drop it"),
        ({"weights": "w.pth", "start": "run"}, "are two first weights", "--from for a run"),
    ],
)
def test_contradictions_are_refused(
    tiny_images: Path, tmp_path: Path, options: dict[str, Any], message: str, hint: str
) -> None:
    """One line names the option, before anything is read."""
    with pytest.raises(UsageError, match=message) as caught:
        edge_ood.train(tiny_images / "train", tmp_path / "run", **options)

    assert hint in str(caught.value.hint)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["fine-tune", "linear-probe", "fine-tune-with-outliers"])
def test_a_recipe_needs_its_weights(recipe: str, tiny_images: Path, tmp_path: Path) -> None:
    """Fine-tuning random weights would be a mistake that nothing else shows."""
    with pytest.raises(InputError, match=f"'{recipe}' fine-tunes a trained network") as caught:
        edge_ood.train(tiny_images / "train", tmp_path / "run", recipe=recipe)

    assert "--weights pretrained" in str(caught.value.hint)


def test_a_mean_of_another_unit_is_refused(
    weights: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Pixels are in [0, 1], as everywhere."""
    with pytest.raises(InputError, match="--mean"):
        edge_ood.train(
            tiny_images / "train",
            tmp_path / "run",
            model=MODEL,
            weights=weights,
            mean="123,116,103",
        )


def test_a_pickle_that_is_no_state_dict_is_refused_unread(
    tiny_images: Path, tmp_path: Path
) -> None:
    """Whole networks are code; nothing of them runs."""
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")

    with pytest.raises(ArtifactError, match="no file of weights alone") as caught:
        edge_ood.train(
            tiny_images / "train", tmp_path / "run", model=MODEL, weights=tmp_path / "whole.pth"
        )

    assert "state_dict" in str(caught.value.hint)
