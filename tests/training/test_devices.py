"""Devices that are missing, batches that cannot be shared, processes that end."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training import devices
from edge_ood.training.devices import end_processes, settle_precision
from edge_ood.training.progress import TrainReport
from edge_ood.training.run_directory import read_run
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


@pytest.mark.parametrize(
    ("line", "expected", "why"),
    [
        ("flags\t\t: fpu sse2 amx_bf16 amx_tile", "bf16", "the processor has amx_bf16"),
        ("flags\t\t: fpu avx512_bf16", "bf16", "the processor has avx512_bf16"),
        ("flags : avx512_bf16_not avx512f", "fp32", "the processor has neither amx_bf16 nor"),
        ("model name\t: amx_bf16", "fp32", "the processor has neither amx_bf16 nor"),
        (None, "fp32", "the processor has neither amx_bf16 nor avx512_bf16"),
    ],
)
def test_the_precision_of_a_processor_is_what_it_is_fast_in(
    tiny_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str | None,
    expected: str,
    why: str,
) -> None:
    """As Linux lists it, or fp32 where nothing is listed; the reason is said."""
    monkeypatch.setattr(devices, "_CPU_INFO", tmp_path / "cpuinfo")
    if line is not None:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\n{line}\n\nprocessor : 1\n")

    settings, notes = settle_precision(replace(tiny_settings, precision="auto"), "cpu")

    (note,) = notes
    assert expected == settings.precision
    assert note.startswith(f"precision auto is {expected} here: {why}")


@pytest.mark.parametrize("has_it", [True, False])
def test_the_precision_of_a_gpu_is_what_it_has(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch, has_it: bool
) -> None:
    """Old ones only imitate bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old Card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: has_it)

    settings, (note,) = settle_precision(replace(tiny_settings, precision="auto"), "auto")

    expected, has = ("bf16", "has") if has_it else ("fp32", "has no")
    assert expected == settings.precision
    assert f"precision auto is {expected} here: Old Card {has} bfloat16" == note


def test_a_precision_that_was_chosen_stays(tiny_settings: Settings) -> None:
    """Nothing is settled, or said."""
    for precision in ("fp32", "bf16"):
        settings = replace(tiny_settings, precision=precision)
        assert (settings, ()) == settle_precision(settings, "auto")


def test_the_record_says_what_auto_became(
    run_training: Run, tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the run goes on with `auto` on the same machine, and not on one that differs."""
    flags = tmp_path / "cpuinfo"
    flags.write_text("flags : avx512_bf16\n")
    monkeypatch.setattr(devices, "_CPU_INFO", flags)
    run_training(tiny_images, tmp_path / "run", precision="auto")
    resume = replace(CPU, resume=True)

    assert "bf16" == read_run(tmp_path / "run").config.settings.precision
    run_training(tiny_images, tmp_path / "run", resume, precision="auto")
    flags.write_text("flags : sse2\n")
    with pytest.raises(InputError, match="precision was 'bf16' and is 'fp32'"):
        run_training(tiny_images, tmp_path / "run", resume, precision="auto")


def test_a_process_parts_from_its_group() -> None:
    """Once, and without a group not at all."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )

    end_processes()
    assert not torch.distributed.is_initialized()
    end_processes()
