"""An objective whose steps see other heads than those that are exported: a run is what ships."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tiny_training import CPU, SETTINGS, SIDE

from edge_ood.errors import ChanceLevelError
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.models import build_classifier
from edge_ood.registry import Spec
from edge_ood.training.batches import normalised
from edge_ood.training.energies import read_energies
from edge_ood.training.run_directory import read_metrics, read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.train import train
from edge_ood.training.training_set import Folders

WEIGHT = "heads.linear.0.weight"
STANDING = {"learning_rate": 0.0, "final_learning_rate": 0.0}
TAU = 0.2


def run_training(images: Path, output: Path, start: Path | None = None, **options: Any) -> Path:
    """Train feature normalisation on the tiny images."""
    objective = Spec("feature-norm", {"tau": TAU})
    settings = replace(SETTINGS, objective=objective, **options)
    folders = Folders(
        images / "train",
        calibration=images / "calibration",
        validation=images / "validation",
        start=start,
    )
    train(folders, settings, Preprocess(SIDE), output, launch=CPU)
    return output


@pytest.fixture(scope="module")
def trained(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, read only."""
    return run_training(tiny_images, tmp_path_factory.mktemp("trained") / "run")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "model.safetensors")


def logits_of(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of the validation images, by the network that an export would load."""
    found = read_run(run)
    images = found.splits["validation"]
    pixels, _ = decode_all(images.paths, found.config.preprocess)
    batch = normalised(torch.from_numpy(pixels), found.config.preprocess)
    with torch.inference_mode():
        logits = load_model(found)(batch).logits.double().numpy()
    assert images.labels is not None
    return logits, images.labels


def test_the_run_is_saved_with_the_factor_in_it(tiny_images: Path, tmp_path: Path) -> None:
    """At a learning rate of zero the last layer is the drawn one over tau."""
    with contextlib.suppress(ChanceLevelError):  # nothing was learnt; the run is there all the same
        run_training(tiny_images, tmp_path / "run", epochs=1, **STANDING)

    torch.manual_seed(SETTINGS.seed)
    drawn = build_classifier(SETTINGS.model, 2).get_parameter(WEIGHT).detach()
    torch.testing.assert_close(drawn / TAU, weights_of(tmp_path / "run")[WEIGHT])


def test_training_learns(trained: Path) -> None:
    """Dark and bright are told apart by the exported function."""
    logits, labels = logits_of(trained)

    assert (logits.argmax(1) == labels).mean() > 0.9


def test_accuracies_are_those_of_the_exported_function(trained: Path) -> None:
    """The last epoch's accuracy is that of the network which an export loads."""
    logits, labels = logits_of(trained)

    expected = (logits.argmax(1) == labels).mean()
    assert expected == pytest.approx(read_metrics(trained)[-1].validation_accuracy)


def test_energies_are_those_of_the_exported_function(trained: Path) -> None:
    """What the record has after training is minus log-sum-exp of the exported logits."""
    logits, _ = logits_of(trained)
    energies = read_energies(trained)
    assert energies is not None

    expected = -np.log(np.exp(logits).sum(1)).mean()
    assert expected == pytest.approx(energies.after["validation"].mean, rel=1e-4)


@pytest.mark.parametrize("first", ["trained", "finished"])
def test_fine_tuning_starts_from_the_function_of_a_run(
    first: str, request: pytest.FixtureRequest, tiny_images: Path, tmp_path: Path
) -> None:
    """At a learning rate of zero its weights come out again, whatever objective trained it."""
    start = request.getfixturevalue(first)

    run_training(tiny_images, tmp_path / "run", start, epochs=1, **STANDING)

    before, after = weights_of(start), weights_of(tmp_path / "run")
    for name in before:
        if "running" not in name and "batches" not in name:
            torch.testing.assert_close(before[name], after[name], rtol=1e-6, atol=0)


def test_a_second_head_is_drawn_as_from_scratch(
    trained: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """It comes from no run, so it is not divided first: it is saved as drawn, over tau."""
    run_training(tiny_images, tmp_path / "run", trained, heads=2, epochs=1, **STANDING)

    torch.manual_seed(SETTINGS.seed)
    name = "heads.linear.1.weight"
    drawn = build_classifier(SETTINGS.model, 2, heads=2).get_parameter(name).detach()
    torch.testing.assert_close(drawn / TAU, weights_of(tmp_path / "run")[name])


def test_another_objective_goes_on_from_an_ordinary_network(
    trained: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Cross-entropy at a learning rate of zero gives the same weights, bit by bit."""
    settings = replace(SETTINGS, epochs=1, **STANDING)
    folders = Folders(tiny_images / "train", calibration=tiny_images / "calibration", start=trained)

    train(folders, settings, Preprocess(SIDE), tmp_path / "run", launch=CPU)

    assert torch.equal(weights_of(trained)[WEIGHT], weights_of(tmp_path / "run")[WEIGHT])
