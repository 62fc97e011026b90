"""Real images from scikit-learn, quick to train on: digits are classes, photographs are OOD."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

from edge_ood.images.splits import stratified_split

__all__ = ["write_images"]

_ID_DIGITS = 8
"""Digits 0 to 7 are the classes; 8 and 9 are near OOD."""

_SIDE_PX = 8
_SIXTEENTHS = 16
_TEST_SHARE = 0.25
_PATCH_SIDES = (8, 16, 32, 64)
_PATCHES = 1500
_FAR = 400
_MIXED_EACH = 60
_SEED = 0


def write_images(folder: Path) -> Mapping[str, int]:
    """Write `train`, `outliers`, `test`, `near`, `far` and `mixed` as image folders of PNGs.

    Patches of one photograph are auxiliary outliers, patches of the other far OOD. `mixed` has
    copies of test, near and far images under one roof, named after where they come from.

    Returns:
        Number of images by folder.
    """
    digits = load_digits()
    images = (digits.images * (255 / _SIXTEENTHS)).round().astype(np.uint8)
    is_id = digits.target < _ID_DIGITS
    is_test = np.zeros(len(images), np.bool_)
    is_test[is_id] = stratified_split(digits.target[is_id], _TEST_SHARE, _SEED)
    sets = {
        "train": (images[is_id & ~is_test], digits.target[is_id & ~is_test]),
        "test": (images[is_test], digits.target[is_test]),
        "near": (images[~is_id], digits.target[~is_id]),
        "outliers": (_patches(load_sample_image("china.jpg"), _PATCHES), None),
        "far": (_patches(load_sample_image("flower.jpg"), _FAR), None),
    }
    for name, (pixels, labels) in sets.items():
        _write(folder / name, pixels, labels)
    _write_mixed(folder / "mixed", {name: sets[name][0] for name in ("test", "near", "far")})
    return {name: len(pixels) for name, (pixels, _) in sets.items()} | {"mixed": 3 * _MIXED_EACH}


def _patches(photograph: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Square patches of several sizes, in grey like the digits, scaled to their size."""
    generator = np.random.default_rng(_SEED)
    grey = Image.fromarray(photograph).convert("L")
    patches = []
    for index in range(count):
        side = _PATCH_SIDES[index % len(_PATCH_SIDES)]
        left = int(generator.integers(0, grey.width - side + 1))
        top = int(generator.integers(0, grey.height - side + 1))
        box = (left, top, left + side, top + side)
        patches.append(np.asarray(grey.crop(box).resize((_SIDE_PX, _SIDE_PX))))
    return np.stack(patches)


def _write(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> None:
    for index, image in enumerate(images):
        target = folder if labels is None else folder / str(labels[index])
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(target / f"{index:04d}.png")


def _write_mixed(folder: Path, sets: Mapping[str, NDArray[np.uint8]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, images in sets.items():
        for index, image in enumerate(images[:: len(images) // _MIXED_EACH][:_MIXED_EACH]):
            Image.fromarray(image).save(folder / f"{name}_{index:02d}.png")
