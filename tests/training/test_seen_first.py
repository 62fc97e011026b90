"""What a network reads off training images before its first step."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from tiny_training import CPU, SETTINGS

from edge_ood.errors import ChanceLevelError
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.registry import Spec
from edge_ood.training.run_directory import read_run
from edge_ood.training.train import train
from edge_ood.training.training_set import Folders

SIDE = 16
WHITENING = "trunk.whitening"


def run_training(images: Path, output: Path, start: Path | None = None) -> Path:
    """Train a narrow whitening network on some of the tiny images, larger than they are."""
    settings = replace(SETTINGS, model=Spec("airbench", {"width": 0.1}))
    folders = Folders(
        images / "train",
        calibration=images / "calibration",
        validation=images / "validation",
        start=start,
    )
    with contextlib.suppress(ChanceLevelError):  # too few steps to learn much
        train(folders, settings, Preprocess(SIDE), output, launch=CPU)
    return output


@pytest.fixture(scope="module")
def trained(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, read only."""
    return run_training(tiny_images, tmp_path_factory.mktemp("trained") / "run")


def whitening_of(run: Path) -> np.ndarray:
    return safetensors.torch.load_file(run / "model.safetensors")[WHITENING].numpy()


def test_the_filters_whiten_the_training_images(trained: Path) -> None:
    """Patches of normalised training images come out uncorrelated, by NumPy."""
    run = read_run(trained)
    pixels, _ = decode_all(run.splits["training"].paths, run.config.preprocess)
    mean, std = (np.array(each) for each in (run.config.preprocess.mean, run.config.preprocess.std))
    images = (pixels / 255 - mean) / std
    windows = np.lib.stride_tricks.sliding_window_view(images, (2, 2), (1, 2))
    patches = windows.reshape(-1, 12)
    variances = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]

    found = patches @ whitening_of(trained)[:12].reshape(12, 12).T

    expected = np.diag(variances / (variances + 5e-4))
    np.testing.assert_allclose(expected, found.T @ found / len(found), atol=1e-4)


def test_weights_that_come_from_a_run_keep_its_filters(
    trained: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """What was learnt behind the filters would be lost with other ones."""
    (tmp_path / "other").mkdir()
    for name in ("calibration", "validation"):
        (tmp_path / "other" / name).symlink_to(tiny_images / name)
    few = tmp_path / "other" / "train"
    for folder in (tiny_images / "train").iterdir():
        (few / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[::2]:
            (few / folder.name / path.name).symlink_to(path)

    again = run_training(tmp_path / "other", tmp_path / "again", start=trained)
    afresh = run_training(tmp_path / "other", tmp_path / "afresh")

    np.testing.assert_array_equal(whitening_of(trained), whitening_of(again))
    assert not np.array_equal(whitening_of(trained), whitening_of(afresh))
