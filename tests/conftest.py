"""Shared fixtures: real images, one small trained run and its artefact, made once a session."""

import os
from pathlib import Path

import pytest

from edge_ood.demo import write_images

# The probe remembers devices in the user's cache; tests must not write there.
os.environ["XDG_CACHE_HOME"] = "/nonexistent/edge-ood-tests"


@pytest.fixture(scope="session")
def demo_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's image folders: train, outliers, test, near, far, mixed."""
    folder = tmp_path_factory.mktemp("images")
    write_images(folder)
    return folder


@pytest.fixture(scope="session")
def image_folder(demo_images: Path) -> Path:
    """Held-out images of the artefact's classes, in class folders."""
    return demo_images / "test"


@pytest.fixture(scope="session")
def run_path(demo_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: a small two-head network, Outlier Exposure, digits 0 to 7 at 8 px."""
    pytest.importorskip("torch")
    from edge_ood.preprocess import Preprocess
    from edge_ood.registry import Spec
    from edge_ood.settings import Settings
    from edge_ood.train import Launch, train
    from edge_ood.training_set import Folders

    output = tmp_path_factory.mktemp("runs") / "digits"
    settings = Settings(
        model=Spec("wrn-10-1", {"dropout": 0.0}),
        objective=Spec("outlier-exposure"),
        heads=2,
        augmentation=("crop",),
        epochs=3,
        batch_size=64,
        outlier_batch_size=64,
    )
    folders = Folders(training=demo_images / "train", outliers=demo_images / "outliers")
    train(folders, settings, Preprocess(8), output, launch=Launch(device="cpu"))
    return output


@pytest.fixture(scope="session")
def artifact_path(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported run with every closed-form head. Read only: copy it before changing it."""
    from edge_ood.attach import Options
    from edge_ood.export import export_run

    output = tmp_path_factory.mktemp("exported") / "digits.onnx"
    export_run(run_path, output, Options(provider="cpu"))
    return output
