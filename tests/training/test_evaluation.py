"""Accuracies and energies of a run, against those of the saved weights."""

import contextlib
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.models import build_classifier
from edge_ood.registry import Spec
from edge_ood.training import session
from edge_ood.training.batches import normalised
from edge_ood.training.energies import EnergySample, read_energies
from edge_ood.training.progress import TrainReport
from edge_ood.training.run_directory import read_metrics, read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

SIDE = 8
CPU = Launch(device="cpu")
Run = Callable[..., TrainReport]


def test_the_reported_accuracy_is_that_of_the_saved_weights(
    run_training: Run, tiny_images: Path, tmp_path: Path
) -> None:
    """Loading the run and classifying the validation images gives the reported share."""
    report = run_training(tiny_images, tmp_path / "run", heads=2)
    run = read_run(tmp_path / "run")
    validation = run.splits["validation"]
    pixels, _ = decode_all(validation.paths, run.config.preprocess)

    with torch.inference_mode():
        logits = load_model(run)(normalised(torch.from_numpy(pixels), run.config.preprocess)).logits

    right = logits.argmax(1).numpy() == validation.labels
    assert np.mean(right) == pytest.approx(report.validation_accuracy)


def test_each_head_has_its_own_accuracy(
    run_training: Run, tiny_images: Path, tmp_path: Path
) -> None:
    """The rows have the accuracies of the saved heads, here untrained ones, which differ."""
    with contextlib.suppress(DataError):  # no better than chance
        run_training(tiny_images, tmp_path, heads=2, learning_rate=0.0, final_learning_rate=0.0)
    run, row = read_run(tmp_path), read_metrics(tmp_path)[-1]
    validation = run.splits["validation"]
    pixels, _ = decode_all(validation.paths, run.config.preprocess)

    with torch.inference_mode():
        outputs = load_model(run)(normalised(torch.from_numpy(pixels), run.config.preprocess))

    right = outputs.logits_pair.argmax(-1).numpy() == np.asarray(validation.labels)[:, None]
    assert right.mean(0) == pytest.approx([row.first_head_accuracy, row.second_head_accuracy])
    assert row.first_head_accuracy != row.second_head_accuracy


def test_a_missing_head_has_no_accuracy(finished: Path) -> None:
    """With one head its accuracy is that of the classifier, and the second is NaN."""
    row = read_metrics(finished)[-1]

    assert row.validation_accuracy == row.first_head_accuracy
    assert math.isnan(row.second_head_accuracy)


def energies_of(
    classifier: torch.nn.Module, run: Path, split: str, *, every: int = 1
) -> EnergySample:
    """Of every image of a split or of every so many, by the definition."""
    settled = read_run(run)
    pixels, _ = decode_all(settled.splits[split].paths[::every], settled.config.preprocess)
    with torch.inference_mode():
        outputs = classifier.eval()(normalised(torch.from_numpy(pixels), settled.config.preprocess))
    return EnergySample.of(-logsumexp(outputs.logits.double().numpy(), axis=1))


def assert_same(expected: EnergySample, found: EnergySample) -> None:
    assert expected.n == found.n
    np.testing.assert_allclose(
        [found.mean, *found.quantiles], [expected.mean, *expected.quantiles], rtol=1e-5, atol=1e-5
    )


def test_energies_are_those_of_the_first_and_of_the_last_weights(
    run_training: Run, tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """Validation images and outliers, by the drawn network and by the saved one."""
    run_training(tiny_images, tmp_path, objective=Spec("outlier-exposure"), heads=2)
    torch.manual_seed(tiny_settings.seed)
    drawn = build_classifier(tiny_settings.model, 2, heads=2)

    energies = read_energies(tmp_path)

    assert energies is not None
    assert {"validation", "outliers"} == set(energies.before) == set(energies.after)
    for split in energies.before:
        assert_same(energies_of(drawn, tmp_path, split), energies.before[split])
        trained = load_model(read_run(tmp_path))
        assert_same(energies_of(trained, tmp_path, split), energies.after[split])


def test_a_sample_of_training_images_stands_for_validation(
    tiny_settings: Settings, tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is held out; it is spread evenly over all classes."""
    monkeypatch.setattr(session, "_MOST_OBSERVED", 5)
    few = tmp_path / "few"  # two images a class are too few to hold one out
    for path in sorted((tiny_images / "train").rglob("0[01].png")):
        (few / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, few / path.parent.name)
    folders = Folders(few, tiny_images / "outliers", tiny_images / "calibration")
    objective = Spec("outlier-exposure")
    run = tmp_path / "run"

    train(folders, replace(tiny_settings, objective=objective), Preprocess(SIDE), run, launch=CPU)

    energies = read_energies(run)
    assert energies is not None
    assert {"training": 4, "outliers": 4} == {k: s.n for k, s in energies.after.items()}
    expected = energies_of(load_model(read_run(run)), run, "outliers", every=3)
    assert_same(expected, energies.after["outliers"])
