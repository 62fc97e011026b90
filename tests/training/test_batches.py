"""Batches: pure functions of seed and step, and augmentation against slow loops."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.batches import Batches, Share, normalised, step_seed
from edge_ood.training.settings import Settings

SIDE = 16
PADDING = 2  # an eighth of the side


def make_batches(count: int = 10, outliers: int = 0, **settings: Any) -> Batches:
    """Random images whose first pixel tells them apart, without normalisation."""
    generator = np.random.default_rng(0)
    images = generator.integers(1, 256, (count + outliers, SIDE, SIDE, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(count + outliers)
    pixels = torch.from_numpy(images)
    options: dict[str, Any] = {"augmentation": (), "batch_size": 4, **settings}
    return Batches(
        images=pixels[:count],
        labels=torch.arange(count),
        outliers=pixels[count:],
        settings=Settings(Spec("wrn-10-1"), Spec("cross-entropy"), **options),
        preprocess=Preprocess(SIDE, mean=(0, 0, 0), std=(1, 1, 1)),
        device=torch.device("cpu"),
    )


def first_pixels(images: torch.Tensor) -> list[int]:
    """What tells images apart while they are not augmented."""
    return [round(value) for value in (images[:, 0, 0, 0] * 255).tolist()]


def test_an_epoch_sees_every_image() -> None:
    """Ten images in batches of four are three batches, filled up from the epoch's beginning."""
    batches = make_batches()

    seen = [label for step in range(3) for label in batches.at(step).labels.tolist()]

    assert 3 == batches.steps_per_epoch
    assert set(range(10)) == set(seen[:10])
    assert seen[:2] == seen[10:]


def test_images_keep_their_labels() -> None:
    """Every image arrives with its own label."""
    batch = make_batches().at(1)

    assert batch.labels.tolist() == first_pixels(batch.images)


def test_epochs_have_different_orders() -> None:
    """The second epoch is shuffled anew."""
    batches = make_batches()

    assert batches.at(0).labels.tolist() != batches.at(3).labels.tolist()


@pytest.mark.parametrize("step", [0, 5])
def test_a_batch_is_a_function_of_seed_and_step(step: int) -> None:
    """Fresh objects give the same batch again, whatever was drawn before; other seeds do not."""
    options = {"outliers": 5, "augmentation": ("crop", "flip"), "outlier_batch_size": 3}
    first, second = make_batches(seed=1, **options), make_batches(seed=1, **options)
    other = make_batches(seed=2, **options)
    for earlier in range(step):
        first.at(earlier)

    here, again, elsewhere = first.at(step), second.at(step), other.at(step)

    assert torch.equal(here.images, again.images)
    assert here.outliers is not None
    assert again.outliers is not None
    assert torch.equal(here.outliers, again.outliers)
    assert not torch.equal(here.images, elsewhere.images)


def test_alternate_flips_show_both_sides_in_two_epochs() -> None:
    """An image is mirrored in every second epoch, by chance from the first or the second on."""
    batches = make_batches(batch_size=10, augmentation=("alternate-flip",))
    plain = make_batches(batch_size=10)

    def by_label(which: Batches, epoch: int) -> dict[int, torch.Tensor]:
        batch = which.at(epoch)
        return dict(zip(batch.labels.tolist(), batch.images, strict=True))

    as_it_is = by_label(plain, 0)
    mirrored = np.array(
        [
            [torch.equal(by_label(batches, e)[label], image.flip(-1)) for e in range(4)]
            for label, image in as_it_is.items()
        ]
    )
    kept = np.array(
        [
            [torch.equal(by_label(batches, e)[label], image) for e in range(4)]
            for label, image in as_it_is.items()
        ]
    )
    assert (mirrored ^ kept).all()
    assert (mirrored[:, 0] ^ mirrored[:, 1]).all()
    np.testing.assert_array_equal(mirrored[:, :2], mirrored[:, 2:])
    assert 0 < mirrored[:, 0].sum() < 10


@pytest.mark.parametrize(
    ("name", "most", "mode"), [("crop", 2, "constant"), ("translate", 1, "reflect")]
)
def test_shifted_images_are_windows_of_padded_ones(name: str, most: int, mode: Any) -> None:
    """NumPy's padding is the oracle; all shifts in range come up in many draws."""
    pixels = make_batches(count=1).at(0).images[0].numpy()
    batches = make_batches(count=1, augmentation=(name,))
    padded = np.pad(pixels, ((0, 0), (most, most), (most, most)), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, pixels.shape).squeeze(0)

    images = [batches.at(step).images[0].numpy() for step in range(100)]

    found = [np.argwhere((windows == image).all(axis=(2, 3, 4))) for image in images]
    assert {1} == {len(places) for places in found}
    for axis in (0, 1):
        assert set(range(2 * most + 1)) == {int(places[0, axis]) for places in found}


def test_outliers_are_flipped_by_chance() -> None:
    """They need not come round again, so they have no turns."""
    options = {"outliers": 5, "outlier_batch_size": 5}
    alternate = make_batches(augmentation=("alternate-flip",), **options).at(2).outliers
    by_chance = make_batches(augmentation=("flip",), **options).at(2).outliers

    assert alternate is not None
    assert by_chance is not None
    assert torch.equal(alternate, by_chance)


def test_few_images_make_one_small_batch() -> None:
    """A batch size above the number of images takes all of them, once."""
    batches = make_batches(count=3, batch_size=128)

    assert 1 == batches.steps_per_epoch
    assert [0, 1, 2] == sorted(batches.at(0).labels.tolist())


def test_outliers_take_turns() -> None:
    """Seven outliers in batches of three: all are used before any is used again."""
    batches = make_batches(outliers=7, outlier_batch_size=3)

    used = []
    for step in range(7):
        outliers = batches.at(step).outliers
        assert outliers is not None
        used += first_pixels(outliers)

    assert [sorted(range(10, 17))] * 3 == [sorted(used[i : i + 7]) for i in (0, 7, 14)]


def test_no_outliers_are_none() -> None:
    """Without outliers the batch says so."""
    assert make_batches().at(0).outliers is None


def test_unlabelled_batches_have_equal_parts_of_each_set() -> None:
    """Half are training images in rounds of their own, half outliers, whatever their numbers."""
    batches = make_batches(count=6, outliers=3, outlier_batch_size=4)
    mixed = replace(batches, unlabelled=(batches.images, batches.outliers))

    drawn = []
    for step in range(3):
        unlabelled = mixed.at(step).unlabelled
        assert unlabelled is not None
        drawn.append(first_pixels(unlabelled))

    assert list(range(6)) == sorted(image for part in drawn for image in part[:2])
    assert sorted([6, 7, 8] * 2) == sorted(image for part in drawn for image in part[2:])
    assert drawn[0][:2] != mixed.at(0).labels.tolist()[:2]
    assert batches.at(0).unlabelled is None


def test_a_pool_is_its_own_unlabelled_batch() -> None:
    """One set fills the batch."""
    batches = make_batches(count=6, outliers=4, outlier_batch_size=4)

    unlabelled = replace(batches, unlabelled=(batches.outliers,)).at(0).unlabelled

    assert unlabelled is not None
    assert [6, 7, 8, 9] == sorted(first_pixels(unlabelled))


def test_processes_share_each_part_of_the_unlabelled_batch() -> None:
    """Each of two processes has as many training images as outliers, augmented as in one."""
    batches = make_batches(outliers=6, outlier_batch_size=8, augmentation=("crop", "flip"))
    joined = replace(batches, unlabelled=(batches.images, batches.outliers))

    parts = [replace(joined, share=Share(rank, 2)).at(1).unlabelled for rank in (0, 1)]

    whole = joined.at(1).unlabelled
    assert whole is not None
    assert parts[0] is not None
    assert parts[1] is not None
    shares = [
        half for start in (0, 2) for half in (p[start : start + 2] for p in parts if p is not None)
    ]
    assert torch.equal(whole, torch.cat(shares))


def test_only_the_centre_is_learned_from() -> None:
    """Of resized images 16 px wide, a network of 12 px sees those from 2 to 14."""
    whole = make_batches()
    seen = replace(whole, preprocess=replace(whole.preprocess, size_px=12, crop=0.75))

    assert torch.equal(whole.at(1).images[:, :, 2:14, 2:14], seen.at(1).images)


def test_crop_shifts_inside_a_black_frame() -> None:
    """Every augmented image is one of the 25 shifts of its source, padded with black."""
    batches = make_batches(augmentation=("crop",))
    batch = batches.at(0)

    for image, label in zip(batch.images, batch.labels.tolist(), strict=True):
        source = np.pad(batches.images[label].numpy(), ((PADDING,) * 2, (PADDING,) * 2, (0, 0)))
        shifts = [
            source[y : y + SIDE, x : x + SIDE]
            for y in range(2 * PADDING + 1)
            for x in range(2 * PADDING + 1)
        ]
        pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
        assert 1 == sum(np.array_equal(pixels, shift) for shift in shifts)


def test_flip_mirrors_about_half_of_the_images() -> None:
    """Every image is its source or its mirror image, and neither is rare."""
    batches = make_batches(count=64, batch_size=64, augmentation=("flip",))
    batch = batches.at(0)

    mirrored = 0
    for image, label in zip(batch.images, batch.labels.tolist(), strict=True):
        source = batches.images[label]
        pixels = (image.permute(1, 2, 0) * 255).round().byte()
        mirrored += int(torch.equal(pixels, source.flip(1)))
        assert torch.equal(pixels, source) or torch.equal(pixels, source.flip(1))

    assert 16 < mirrored < 48  # four standard deviations of 64 fair coins


def test_crop_and_flip_work_together() -> None:
    """With both, some images are mirrored and all are shifts of their source."""
    batches = make_batches(count=32, batch_size=32, augmentation=("crop", "flip"))
    batch = batches.at(0)

    mirrored = []
    for image, label in zip(batch.images, batch.labels.tolist(), strict=True):
        inner = (image * 255).round().byte()[:, PADDING:-PADDING, PADDING:-PADDING]
        source = batches.images[label].permute(2, 0, 1)
        span = SIDE - 2 * PADDING
        shifts = source.unfold(1, span, 1).unfold(2, span, 1).flatten(1, 2)
        plain = (shifts == inner[:, None]).flatten(2).all(2).all(0).any()
        flipped = (shifts == inner.flip(2)[:, None]).flatten(2).all(2).all(0).any()
        assert plain != flipped
        mirrored.append(bool(flipped))

    assert {False, True} == set(mirrored)


def test_crop_uses_every_shift() -> None:
    """Over many images, each corner of the frame is reached."""
    batches = make_batches(count=256, batch_size=256, augmentation=("crop",))
    images = batches.at(0).images

    black = images.sum(1) == 0
    margins = {
        (side, int(count))
        for side, lines in (("top", black.all(2)), ("left", black.all(1)))
        for count in lines[:, :PADDING].sum(1)
    }

    assert {(side, n) for side in ("top", "left") for n in range(PADDING + 1)} == margins


def test_normalisation_is_the_exported_one() -> None:
    """Training sees exactly the float32 numbers that `Preprocess` promises."""
    preprocess = Preprocess(SIDE, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    images = make_batches().images

    expected = preprocess.normalise(images.numpy(), np.float32)

    np.testing.assert_array_equal(expected, normalised(images, preprocess).numpy())


def test_batches_are_channels_last() -> None:
    """Convolutions get the memory layout they are fast in, without a copy."""
    images = make_batches(augmentation=("crop", "flip")).at(0).images

    assert images.is_contiguous(memory_format=torch.channels_last)


def test_processes_share_the_joined_batch() -> None:
    """Two processes together hold exactly the batch that one process would have."""
    options = {"outliers": 6, "augmentation": ("crop", "flip"), "outlier_batch_size": 4}
    joined = make_batches(**options)

    parts = [replace(joined, share=Share(rank, 2)).at(1) for rank in (0, 1)]

    whole = joined.at(1)
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))
    outliers = [part.outliers for part in parts if part.outliers is not None]
    assert whole.outliers is not None
    assert torch.equal(whole.outliers, torch.cat(outliers))


def test_dropout_seeds_differ_between_steps_and_processes() -> None:
    """No two steps or processes drop the same units."""
    seeds = {step_seed(seed, step, rank) for seed in (0, 1) for step in range(9) for rank in (0, 1)}

    assert 36 == len(seeds)


class Copies(TorchDispatchMode):
    """Counts the copies between devices that make the host wait."""

    waiting = 0

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run any operation; `lift_fresh` is what `torch.tensor(values, device=...)` calls."""
        result, name = operator(*args, **(kwargs or {})), str(operator)
        if name == "aten.lift_fresh.default":
            self.waiting += args[0].device.type != "cpu"
        elif name in ("aten._to_copy.default", "aten.copy_.default"):
            moved = args[0].device != result.device or args[-1].device != result.device
            self.waiting += moved and not (kwargs or {}).get("non_blocking")
        return result


@pytest.mark.parametrize("resident", [True, False])
def test_the_host_never_waits_for_the_device(resident: bool) -> None:
    """Whether images lie on the device or not, no copy of a batch's making blocks the host."""
    batches = make_batches(outliers=5, augmentation=("crop", "flip"), outlier_batch_size=3)
    meta = torch.device("meta")
    if resident:
        parts = {name: getattr(batches, name).to(meta) for name in ("images", "labels", "outliers")}
        batches = replace(batches, **parts)

    with Copies() as copies:
        batch = replace(batches, device=meta).at(0)

    assert (4, 3, SIDE, SIDE) == batch.images.shape
    assert meta == batch.images.device == batch.labels.device
    assert 0 == copies.waiting


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("resident", [True, False])
def test_a_gpu_is_never_waited_for(resident: bool) -> None:
    """CUDA itself reports no synchronisation, and the batch has the CPU's pixels."""
    batches = make_batches(outliers=5, augmentation=("crop", "flip"), outlier_batch_size=3)
    cuda = torch.device("cuda")
    expected = batches.at(1)
    if resident:
        parts = {name: getattr(batches, name).to(cuda) for name in ("images", "labels", "outliers")}
        batches = replace(batches, **parts)
    batches = replace(batches, device=cuda)
    batches.at(0)

    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = batches.at(1)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    torch.testing.assert_close(batch.images.cpu(), expected.images, rtol=0, atol=1e-6)
    assert torch.equal(batch.labels.cpu(), expected.labels)
