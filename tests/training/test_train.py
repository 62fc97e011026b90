"""Training on tiny images: what it learns, what it writes, and what it refuses."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from edge_ood.errors import ChanceLevelError, InputError
from edge_ood.files import paths
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash, decode_all
from edge_ood.registry import Spec
from edge_ood.training.progress import Progress, StepReport, TrainReport
from edge_ood.training.run_directory import read_metrics, read_run
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

SIDE = 8
CPU = Launch(device="cpu")
Run = Callable[..., TrainReport]


def weights_of(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_training_tells_dark_from_bright(
    run_training: Run, tiny_images: Path, tmp_path: Path
) -> None:
    """Dark and bright images are told apart after a few steps."""
    report = run_training(tiny_images, tmp_path / "run")

    assert report.validation_accuracy > 0.9


def test_outliers_and_parameters_reach_the_objective(
    run_training: Run, tiny_images: Path, tmp_path: Path
) -> None:
    """With weight 4 no epoch's loss is below the outliers' floor of 4 ln 2, nor much above."""
    objective = Spec("outlier-exposure", {"weight": 4.0})

    report = run_training(tiny_images, tmp_path / "run", objective=objective)

    floor = 4 * math.log(2)
    assert all(floor < epoch.training_loss < 2 * floor for epoch in report.epochs)


@pytest.mark.parametrize(
    ("mode", "role"), [("auxiliary", "outliers"), ("transductive-split", "unlabelled")]
)
def test_the_pool_is_on_record(
    tiny_settings: Settings, tiny_images: Path, tmp_path: Path, mode: str, role: str
) -> None:
    """Classifier discrepancy trains in every mode, and its files are in the manifest."""
    splits = (tiny_images / "calibration", tiny_images / "validation")
    folders = Folders(tiny_images / "train", None, *splits)
    folders = replace(folders, **{role: tiny_images / "outliers"})
    objective = Spec("classifier-discrepancy", {"mode": mode})
    settings = replace(tiny_settings, objective=objective, heads=2)

    train(folders, settings, Preprocess(SIDE), tmp_path, launch=CPU)

    run = read_run(tmp_path)
    expected = {content_hash(p.read_bytes()) for p in (tiny_images / "outliers").iterdir()}
    assert expected == set(run.splits[role].hashes)
    assert mode == run.config.objective_parameters["mode"]


def test_a_run_directory_has_the_promised_files(finished: Path) -> None:
    """A finished run leaves five files and no checkpoint."""
    promised = ["config.json", "energies.json", "metrics.csv", "model.safetensors", "splits.json"]
    assert promised == sorted(entry.name for entry in finished.iterdir())


def test_the_normalisation_is_that_of_the_training_images(
    finished: Path, tiny_images: Path
) -> None:
    """Mean and deviation are measured on training images alone."""
    run = read_run(finished)
    files = sorted((tiny_images / "train").rglob("*.png"))
    pixels, _ = decode_all(files, run.config.preprocess)

    half_a_digit = 0.5e-4  # they are rounded to four decimals
    measured = (pixels / 255).mean((0, 1, 2))
    np.testing.assert_allclose(measured, run.config.preprocess.mean, rtol=0, atol=half_a_digit)


def test_the_manifest_holds_the_files_and_their_hashes(finished: Path, tiny_images: Path) -> None:
    """Every file of every split is there with the hash of its content."""
    splits = read_run(finished).splits

    for name, folder in (("training", "train"), ("calibration", "calibration")):
        images = splits[name]
        assert set((tiny_images / folder).rglob("*.png")) == set(images.paths)
        assert [content_hash(p.read_bytes()) for p in images.paths] == list(images.hashes)


def test_calibration_images_are_read_once_for_their_hash(
    run_training: Run, tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each calibration file is opened exactly once, and no bytes of it reach the decoder."""
    opened: list[Path] = []
    decoded: list[str] = []
    open_regular, decode = paths.open_regular, Preprocess.decode

    def watched_open(path: Path) -> Any:
        opened.append(path)
        return open_regular(path)

    def watched_decode(self: Preprocess, payload: bytes, name: str = "image") -> Any:
        decoded.append(content_hash(payload))
        return decode(self, payload, name)

    monkeypatch.setattr(paths, "open_regular", watched_open)
    monkeypatch.setattr(Preprocess, "decode", watched_decode)

    report = run_training(tiny_images, tmp_path / "run", epochs=1)

    calibration = report.run.splits["calibration"]
    assert sorted(calibration.paths) == sorted(p for p in opened if p in calibration.paths)
    assert not set(calibration.hashes) & set(decoded)


def test_metrics_hold_the_learning_rate_of_each_last_step(finished: Path) -> None:
    """Two epochs of four steps end with the rates of steps 3 and 7 of 8."""
    rates = [epoch.learning_rate for epoch in read_metrics(finished)]

    cosine = [(1 + math.cos(math.pi * step / 8)) / 2 for step in (3, 7)]
    expected = [1e-6 + (0.05 - 1e-6) * share for share in cosine]
    assert expected == pytest.approx(rates)


def test_the_same_seed_gives_the_same_weights(
    run_training: Run, finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Two runs with the same settings end with the same bits."""
    run_training(tiny_images, tmp_path / "run")

    assert weights_of(finished) == weights_of(tmp_path / "run")


def test_another_seed_gives_other_weights(
    run_training: Run, finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """The seed reaches the weights."""
    run_training(tiny_images, tmp_path / "run", seed=1)

    assert weights_of(finished) != weights_of(tmp_path / "run")


def test_the_schedule_reaches_the_optimiser(
    run_training: Run, tiny_settings: Settings, finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """A constant learning rate ends elsewhere than a cosine from the same start."""
    rate = tiny_settings.learning_rate

    run_training(tiny_images, tmp_path / "run", final_learning_rate=rate)

    assert weights_of(finished) != weights_of(tmp_path / "run")


def test_validation_leaves_no_trace_in_the_weights(
    tiny_settings: Settings, finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Other validation images change no bit, batch statistics included."""
    folders = Folders(
        tiny_images / "train", None, tiny_images / "validation", tiny_images / "calibration"
    )

    train(folders, tiny_settings, Preprocess(SIDE), tmp_path / "run", launch=CPU)

    assert weights_of(finished) == weights_of(tmp_path / "run")


def test_a_run_at_chance_level_is_refused_and_its_weights_are_kept(
    run_training: Run, tiny_images: Path, tmp_path: Path
) -> None:
    """A learning rate of zero learns nothing: the error shows both numbers after saving."""
    with pytest.raises(ChanceLevelError, match=r"60\.0%|40\.0%") as caught:
        run_training(tiny_images, tmp_path, epochs=1, learning_rate=0.0, final_learning_rate=0.0)

    said = "no better than chance, the share of the most frequent class (60.0%)"
    assert said in str(caught.value)
    assert (tmp_path / "model.safetensors").exists()


def test_a_diverging_loss_is_an_error(run_training: Run, tiny_images: Path, tmp_path: Path) -> None:
    """A loss that is not finite stops the run with a hint at the learning rate."""
    with pytest.raises(InputError, match="training loss of epoch 1 is") as caught:
        run_training(tiny_images, tmp_path, learning_rate=1e30)

    assert "--lr" in str(caught.value.hint)


def test_few_calibration_images_are_pointed_out(
    tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """Four calibration images are too few for 5 %, which the user hears before training."""
    notes: list[str] = []

    train(
        Folders(tiny_images / "train", validation=tiny_images / "validation"),
        replace(tiny_settings, epochs=1),
        Preprocess(SIDE),
        tmp_path,
        launch=CPU,
        progress=Progress(on_note=notes.append),
    )

    assert ["4 calibration images: a 5% false-alarm rate needs 19"] == [
        note.split(",")[0] for note in notes
    ]


def test_batches_of_one_image_work(
    tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """A batch size of one trains, one step an image."""
    heard: list[StepReport] = []
    folders = Folders(
        tiny_images / "validation", tiny_images / "outliers", validation=tiny_images / "train"
    )
    objective = Spec("outlier-exposure")  # its outliers give batch normalisation company

    train(
        folders,
        replace(tiny_settings, objective=objective, batch_size=1, epochs=3, learning_rate=0.01),
        Preprocess(SIDE),
        tmp_path,
        launch=CPU,
        progress=Progress(on_step=heard.append),
    )

    assert 24 == heard[-1].step == heard[-1].total_steps


def test_bfloat16_learns_and_keeps_float32_weights(
    run_training: Run, finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Low precision is used in the forward pass, learns, and the weights stay float32."""
    report = run_training(tiny_images, tmp_path, precision="bf16")

    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert {torch.float32, torch.int64} == {weight.dtype for weight in weights.values()}
    assert weights_of(finished) != weights_of(tmp_path)
    assert report.validation_accuracy > 0.9
