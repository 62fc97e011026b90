"""Image files of four classes: patches of two photographs that scikit-learn brings, tinted."""

import shutil
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["CLASSES", "Pictures", "fit_linear", "noise", "write_pictures"]

_TINTS = {
    "amber": (255, 170, 0),
    "azure": (0, 110, 255),
    "leaf": (40, 190, 40),
    "rose": (230, 40, 120),
}
_SHARE_OF_TINT = 0.7
CLASSES = tuple(_TINTS)
_OF_EACH_CLASS = {"train": 40, "calibration": 12, "new": 10}
_SIDES_PX = (80, 250)
_NOISE_PX = 160
_SHARPNESS = 20.0
_RIDGE = 0.1


@dataclass(frozen=True)
class Pictures:
    """Folders of image files.

    Attributes:
        train: `<class>/<file>`, what the networks were taught.
        calibration: `<class>/<file>`, which they were not.
        new: `<class>/<file>`, which neither has seen.
        unlabelled: The calibration files without class folders.
    """

    train: Path
    calibration: Path
    new: Path
    unlabelled: Path

    def labelled(self) -> tuple[list[Path], NDArray[np.int64]]:
        """Training files, and their classes (N,) by position in `CLASSES`."""
        paths = sorted(self.train.rglob("*.*"))
        return paths, np.array([CLASSES.index(path.parent.name) for path in paths])

    def new_files(self) -> list[Path]:
        """Files that nothing has seen."""
        return sorted(self.new.rglob("*.*"))


def write_pictures(folder: Path) -> Pictures:
    """Cut the files out of the photographs; JPEG and PNG in turn, of many sizes."""
    from sklearn.datasets import load_sample_image

    generator = np.random.default_rng(0)
    photographs = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    for (name, tint), (role, count) in product(_TINTS.items(), _OF_EACH_CLASS.items()):
        (folder / role / name).mkdir(parents=True)
        for index in range(count):
            image = photographs[index // 2 % 2]
            width = height = int(generator.integers(*_SIDES_PX))
            left = int(generator.integers(0, image.width - width))
            top = int(generator.integers(0, image.height - height))
            patch = image.crop((left, top, left + width, top + height))
            tinted = Image.blend(patch, Image.new("RGB", patch.size, tint), _SHARE_OF_TINT)
            tinted.save(folder / role / name / f"{index:02d}.{('jpg', 'png')[index % 2]}")
    unlabelled = folder / "unlabelled"
    unlabelled.mkdir()
    for path in (folder / "calibration").rglob("*.*"):
        shutil.copy(path, unlabelled / f"{path.parent.name}-{path.name}")
    return Pictures(*(folder / role for role in _OF_EACH_CLASS), unlabelled)


def noise() -> list[Image.Image]:
    """Five images of noise, on which edge-ood's parity gate tries a network, too."""
    generator = np.random.default_rng(1)
    return [
        Image.fromarray(generator.integers(0, 256, (_NOISE_PX, _NOISE_PX, 3), np.uint8))
        for _ in range(5)
    ]


def fit_linear(
    features: NDArray[np.floating], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (K, D) and biases (K,) of a last layer that knows the classes.

    Least squares in closed form on features (N, D), so that a network whose other weights are
    random knows four classes in a moment, and every machine makes about the same one.
    """
    rows = features.astype(np.float64)
    middle, spread = rows.mean(axis=0), rows.std() + 1e-12
    centred = (rows - middle) / spread
    wanted = _SHARPNESS * (np.eye(len(CLASSES))[labels] - 1 / len(CLASSES))
    gram = centred @ centred.T
    ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = (centred.T @ np.linalg.solve(gram + ridge, wanted)).T / spread
    return weights.astype(np.float32), (-weights @ middle).astype(np.float32)
