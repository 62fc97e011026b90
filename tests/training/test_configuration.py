"""What does not fit together is refused before any image is read."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.settings import Settings
from edge_ood.training.train import train
from edge_ood.training.training_set import Folders

SIDE = 8


def test_an_objective_that_needs_outliers_says_so(
    tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """Outlier Exposure without outliers is refused before anything is written."""
    settings = replace(tiny_settings, objective=Spec("outlier-exposure"))

    with pytest.raises(InputError, match="'outlier-exposure' needs outliers, got none"):
        train(Folders(tiny_images / "train"), settings, Preprocess(SIDE), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_outliers_that_nothing_uses_are_refused(
    tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """Cross-entropy with outliers is most likely a forgotten --objective."""
    folders = Folders(tiny_images / "train", tiny_images / "outliers")

    with pytest.raises(InputError, match="'cross-entropy' makes no use of outliers"):
        train(folders, tiny_settings, Preprocess(SIDE), tmp_path / "run")
