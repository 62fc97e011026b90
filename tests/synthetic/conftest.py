"""ID images, and an artefact of any size, to make images from."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_ood.evaluation.sets import parse_sets
from edge_ood.evaluation.synthetic_images import SyntheticImages
from edge_ood.images.folders import ImageSet, read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.runtime.scorer import Scorer


@pytest.fixture(scope="session")
def id_images(colours: Path) -> ImageSet:
    """18 images of three colours, 16 px."""
    return read_images(colours / "test")


@pytest.fixture(scope="session")
def scorer(colour_artifact: Path) -> Scorer:
    """An artefact made without torch, for images of 16 px."""
    return Scorer(colour_artifact, provider="cpu")


@pytest.fixture(scope="session")
def made(scorer: Scorer, id_images: ImageSet) -> Callable[..., SyntheticImages]:
    """Makes the set that `--ood` means, at 16 px or for a network of another size."""

    def make(text: str, size_px: int = 16) -> SyntheticImages:
        (found,) = parse_sets([text])
        fitting: Any = scorer
        if size_px != 16:
            fitting = SimpleNamespace(metadata=SimpleNamespace(preprocess=Preprocess(size_px)))
        images = found.images(fitting, id_images)
        assert isinstance(images, SyntheticImages)
        return images

    return make
