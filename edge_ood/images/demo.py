"""Real photographs for the demo, from scikit-image: three surfaces as classes, all else as OOD."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.errors import MissingDependencyError

__all__ = ["SURFACES", "write_images"]

SURFACES = ("brick", "grass", "gravel")
"""Photographs of 512 x 512 px, whose patches are the classes."""

_NEAR = ("moon", "chelsea", "hubble_deep_field")
_FAR = ("astronaut", "coffee", "rocket")
_OUTLIERS = ("camera", "motorcycle_left", "ihc", "coins")
_TILE_PX, _PATCH_PX = 64, 40
_ROLES = {"train": (36, 400), "calibration": (14, 140), "test": (14, 100)}
"""Tiles of each photograph, drawn by lot, and patches from them: no pixel has two roles."""

_OUTLIERS_EACH, _OOD_EACH = 300, 100
_MIXED_EACH = 60
_SEED = 0


def write_images(folder: Path) -> Mapping[str, int]:
    """Write `train`, `calibration`, `test`, `outliers`, `near`, `far` and `mixed` as PNG folders.

    Patches of brick, grass and gravel are the classes; tiles of each photograph train, calibrate,
    or are tested. Patches of other surfaces are near OOD, of things far OOD, of four more
    photographs auxiliary outliers; all are grey, as the classes are. `mixed` has some of test, near
    and far under one roof, named after where they come from.

    Returns:
        Number of images by folder.

    Raises:
        MissingDependencyError: If scikit-image is not installed.
    """
    generator = np.random.default_rng(_SEED)
    counts = {role: count * len(SURFACES) for role, (_, count) in _ROLES.items()}
    for surface in SURFACES:
        tiles = generator.permutation(_tiles(surface))
        for role, (share, count) in _ROLES.items():
            own, tiles = tiles[:share], tiles[share:]
            _write(folder / role / surface, surface, _patches(own, count, generator))
    for name, sources, count in (
        ("outliers", _OUTLIERS, _OUTLIERS_EACH),
        ("near", _NEAR, _OOD_EACH),
        ("far", _FAR, _OOD_EACH),
    ):
        for source in sources:
            _write(folder / name, source, _patches(_tiles(source), count, generator))
        counts[name] = count * len(sources)
    for name in ("test", "near", "far"):
        _write_mixed(folder / "mixed", name, sorted((folder / name).rglob("*.png")))
    return {**counts, "mixed": 3 * _MIXED_EACH}


def _tiles(name: str) -> NDArray[np.uint8]:
    """A photograph in grey, cut into tiles (N, T, T)."""
    grey = _photograph(name)
    rows, columns = (side // _TILE_PX for side in grey.shape)
    cut = grey[: rows * _TILE_PX, : columns * _TILE_PX]
    apart = cut.reshape(rows, _TILE_PX, columns, _TILE_PX).swapaxes(1, 2)
    return apart.reshape(-1, _TILE_PX, _TILE_PX)


def _patches(
    tiles: NDArray[np.uint8], count: int, generator: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """Square patches, from one tile after the other, each somewhere in it."""
    for index in range(count):
        left, top = generator.integers(0, _TILE_PX - _PATCH_PX + 1, 2)
        yield tiles[index % len(tiles)][top : top + _PATCH_PX, left : left + _PATCH_PX]


def _photograph(name: str) -> NDArray[np.uint8]:
    try:
        from skimage import data  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("the demo", "scikit-image", "demo") from error
    found = sorted(Path(data.__file__).parent.glob(f"{name}.*"))
    with Image.open(found[0]) as image:
        return np.asarray(image.convert("L"))


def _write(folder: Path, name: str, patches: Iterator[NDArray[np.uint8]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, patch in enumerate(patches):
        Image.fromarray(patch).save(folder / f"{name}_{index:03d}.png")


def _write_mixed(folder: Path, name: str, paths: Sequence[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths[:: len(paths) // _MIXED_EACH][:_MIXED_EACH]:
        shutil.copyfile(path, folder / f"{name}_{path.name}")
