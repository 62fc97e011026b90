"""Augmentation of single images, against torchvision's transforms called one by one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import SETTINGS, WITH_OUTLIERS, stopped_and_resumed, trained
from torchvision.transforms import v2

from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.augmentation import (
    augmented_each,
    erased_each,
    image_seeds,
    resized_crops,
)
from edge_ood.training.batches import Batches, Share, normalised
from edge_ood.training.run_directory import read_run
from edge_ood.training.settings import AUGMENTATIONS, Settings
from edge_ood.training.training_set import Folders

SIDE, STORED = 16, 20
BILINEAR = v2.InterpolationMode.BILINEAR
TOGETHER = tuple(name for name in AUGMENTATIONS if name != "translate")  # or `crop`, not both
PER_IMAGE = [name for name in AUGMENTATIONS if name not in ("crop", "flip")]


def photographs(count: int, side: int = SIDE) -> torch.Tensor:
    """Smooth random images uint8 (N, S, S, 3)."""
    small = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), np.uint8)
    large = [Image.fromarray(image).resize((side, side)) for image in small]
    return torch.from_numpy(np.stack([np.asarray(image) for image in large]))


def batches_of(images: torch.Tensor, *names: str, **others: Any) -> Batches:
    """Batches of six images and four outliers, of a network that sees the middle of them."""
    settings = Settings(
        Spec("wrn-10-1"),
        Spec("cross-entropy"),
        augmentation=names,
        batch_size=6,
        outlier_batch_size=4,
    )
    options: dict[str, Any] = {
        "preprocess": Preprocess(SIDE, crop=SIDE / images.shape[1]),
        "outliers": images,
        **others,
    }
    return Batches(
        images=images,
        labels=torch.arange(len(images)),
        settings=settings,
        device=torch.device("cpu"),
        **options,
    )


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("rotate", lambda: v2.RandomRotation(30, interpolation=BILINEAR)),
        ("trivial", lambda: v2.TrivialAugmentWide(interpolation=BILINEAR)),
        ("color", lambda: v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)),
        ("blur", lambda: v2.RandomApply([v2.GaussianBlur(3, sigma=(0.1, 2.0))], p=0.5)),
    ],
)
def test_each_image_is_changed_as_torchvision_does(
    name: str, transform: Callable[[], v2.Transform]
) -> None:
    """After seeding torch with an image's seed, torchvision's own transform gives its pixels."""
    images, seeds = photographs(12), image_seeds((7, 2, 5), 12)

    found = augmented_each(images, seeds, (name,))

    for image, seed, changed in zip(images, seeds.tolist(), found, strict=True):
        torch.manual_seed(seed ^ 1)
        assert torch.equal(transform()(image.permute(2, 0, 1)).permute(1, 2, 0), changed)


def test_parts_are_cut_as_torchvision_does() -> None:
    """A resized crop is RandomResizedCrop's, of all that is stored."""
    images, seeds = photographs(6, STORED), image_seeds((1, 2, 3), 6)

    found = resized_crops(images, seeds, SIDE)

    assert (6, SIDE, SIDE, 3) == found.shape
    for image, seed, part in zip(images, seeds.tolist(), found, strict=True):
        torch.manual_seed(seed)
        expected = v2.RandomResizedCrop(SIDE, antialias=True)(image.permute(2, 0, 1))
        assert torch.equal(expected.permute(1, 2, 0), part)


def test_erasing_leaves_the_mean_colour() -> None:
    """About every tenth normalised image has a rectangle of zeros, the others are untouched."""
    images = torch.ones(200, 3, SIDE, SIDE).to(memory_format=torch.channels_last)

    erased = erased_each(images, image_seeds((0,), 200))

    areas = (erased == 0).all(1).sum((1, 2)) / SIDE**2
    hit = areas > 0
    assert {0.0, 1.0} == set(erased.unique().tolist())
    assert 8 <= hit.sum() <= 35
    assert (areas[hit] < 0.4).all()
    for image in erased[hit]:
        rows, columns = torch.nonzero(image[0] == 0, as_tuple=True)
        sides = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        assert len(rows) == sides
    assert erased.is_contiguous(memory_format=torch.channels_last)


def test_a_resized_crop_sees_what_the_network_does_not() -> None:
    """A mark at the edge of the stored images, which the central cut drops, is trained on."""
    images = torch.zeros(6, STORED, STORED, 3, dtype=torch.uint8)
    images[:, :2] = 255
    plain, cut = batches_of(images), batches_of(images, "resized-crop")

    assert all(plain.at(step).images.max() < 0 for step in range(9))
    assert any(cut.at(step).images.max() > 0 for step in range(9))


@pytest.mark.parametrize("name", PER_IMAGE)
def test_every_name_changes_training_images_and_outliers(name: str) -> None:
    """None is ignored; the shape stays that of the network's input."""
    # Erasing hits few images: of twenty steps, one that does will be there.
    plain, changed = (batches_of(photographs(6, STORED), *names) for names in ((), (name,)))

    for part in ("images", "outliers"):
        before = [getattr(plain.at(step), part) for step in range(20)]
        after = [getattr(changed.at(step), part) for step in range(20)]
        assert {(3, SIDE, SIDE)} == {tuple(batch.shape[1:]) for batch in after}
        assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_processes_share_a_batch_that_is_augmented() -> None:
    """Two processes together draw for their images what one process would have drawn."""
    joined = batches_of(photographs(6, STORED), *TOGETHER)

    parts = [replace(joined, share=Share(rank, 2)).at(3) for rank in (0, 1)]

    whole = joined.at(3)
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    assert whole.outliers is not None
    outliers = torch.cat([part.outliers for part in parts if part.outliers is not None])
    assert torch.equal(whole.outliers, outliers)


def test_dropout_does_not_depend_on_augmentation() -> None:
    """Torch's generator is where it was, so that the masks of a step stay the same."""
    batches = batches_of(photographs(6), *TOGETHER)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    batches.at(0)

    assert torch.equal(expected, torch.rand(4))


def test_steps_and_places_differ() -> None:
    """No two images of a run draw with one seed, be it in one batch, another step or seed."""
    draws = [(seed, 2, step) for seed in (0, 1) for step in range(5)]

    seeds = [seed for draw in draws for seed in image_seeds(draw, 8).tolist()]

    assert 80 == len(set(seeds))


def test_augmented_batches_are_channels_last() -> None:
    """Whatever is drawn, convolutions get the memory layout they are fast in."""
    for names in (("resized-crop",), ("color",), ("erase",), TOGETHER):
        batch = batches_of(photographs(6, STORED), *names).at(0)
        assert batch.images.is_contiguous(memory_format=torch.channels_last), names


def test_larger_images_are_seen_as_pillow_resizes_them() -> None:
    """Images that are kept larger than the network's input are looked at as a whole, resized."""
    images, preprocess = photographs(4, STORED), Preprocess(SIDE, (0, 0, 0), (1, 1, 1))
    resized = [Image.fromarray(image.numpy()).resize((SIDE, SIDE), 2) for image in images]

    found = normalised(images, preprocess).permute(0, 2, 3, 1) * 255

    expected = np.stack([np.asarray(image, np.float32) for image in resized])
    np.testing.assert_allclose(expected, found.numpy(), atol=1.01)


def test_mean_and_deviation_are_of_all_that_is_kept(tiny_images: Path, tmp_path: Path) -> None:
    """Images that are larger than the network's input count as a whole, as parts of them do."""
    settings = replace(SETTINGS, augmentation=("resized-crop",))

    trained(Folders(tiny_images / "train"), settings, tmp_path / "run")

    run = read_run(tmp_path / "run")
    images = [Image.open(path) for path in run.splits["training"].paths]
    kept = np.stack([np.asarray(i.resize((10, 10), Image.Resampling.BILINEAR)) for i in images])
    flat = kept.reshape(-1, 3) / 255
    np.testing.assert_allclose(flat.mean(0), run.config.preprocess.mean, rtol=0, atol=0.5e-4)
    np.testing.assert_allclose(flat.std(0), run.config.preprocess.std, rtol=0, atol=0.5e-4)


def test_a_resumed_run_draws_the_same(tiny_images: Path, tmp_path: Path) -> None:
    """With every augmentation, a run that was interrupted ends with the same bits."""
    folders = Folders(tiny_images / "train", tiny_images / "outliers")
    settings = replace(WITH_OUTLIERS, augmentation=TOGETHER)

    whole = trained(folders, settings, tmp_path / "whole")

    assert whole == stopped_and_resumed(folders, settings, tmp_path / "halves")
