"""An artefact that scores frames, a copy that is calibrated anew, and images of a device."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_ood.images.folders import find_images
from edge_ood.runtime.scorer import Scorer


@pytest.fixture(scope="module")
def scorer(colour_artifact: Path) -> Scorer:
    """The artefact on the CPU."""
    return Scorer(colour_artifact, provider="cpu", threads=1)


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """40 frames of noise at the network's size."""
    return np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)


@pytest.fixture
def path(tmp_path: Path, colour_artifact: Path) -> Path:
    """A copy of the artefact to be calibrated anew."""
    return Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """120 further known images, as a device would take them: two colours, a little darker."""
    folder = tmp_path_factory.mktemp("known")
    generator = np.random.default_rng(5)
    for index in range(120):
        pixels = generator.integers(0, 50, (16, 16, 3), np.uint8)
        pixels[..., index % 2] += generator.integers(120, 190, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    return find_images(folder)
