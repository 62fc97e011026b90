"""Devices that are missing, batches that cannot be shared, processes that end."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.devices import end_processes
from edge_ood.training.progress import TrainReport
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

SIDE = 8
CPU = Launch(device="cpu")
Run = Callable[..., TrainReport]


def test_unlabelled_batches_must_have_equal_parts(
    tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """An odd batch cannot be half training images and half outliers."""
    objective = Spec("classifier-discrepancy")
    settings = replace(tiny_settings, objective=objective, heads=2, outlier_batch_size=5)
    folders = Folders(tiny_images / "train", tiny_images / "outliers")

    with pytest.raises(InputError, match=r"5 cannot be shared evenly .* 2 image sets") as caught:
        train(folders, settings, Preprocess(SIDE), tmp_path / "run", launch=CPU)

    assert "--outlier-batch-size 4" == caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_an_error(run_training: Run, tiny_images: Path, tmp_path: Path) -> None:
    """--device cuda never falls back to the CPU."""
    with pytest.raises(InputError, match="no CUDA device was found"):
        run_training(tiny_images, tmp_path, Launch(device="cuda"))


def test_a_process_parts_from_its_group() -> None:
    """Once, and without a group not at all."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )

    end_processes()
    assert not torch.distributed.is_initialized()
    end_processes()
