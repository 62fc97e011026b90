"""Training batches: every one is a function of seed, epoch and step, augmented on the device."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from edge_ood.images.preprocess import Preprocess
from edge_ood.objectives import Batch
from edge_ood.training.augmentation import (
    augmented_each,
    erased_each,
    image_seeds,
    resized_crops,
)
from edge_ood.training.balance import BalancedOrder
from edge_ood.training.outlier_stream import OutlierStream
from edge_ood.training.rows import Images, taken, to_device
from edge_ood.training.settings import (
    ALTERNATE_FLIP,
    BALANCED_SAMPLING,
    CROP,
    DIVERSE,
    ERASE,
    FLIP,
    RESIZED_CROP,
    TRANSLATE,
    Settings,
)

__all__ = ["CANDIDATES", "MIXTURE", "Batches", "Share", "normalised", "step_seed", "to_device"]

CANDIDATES = 6
"""As many images as this are drawn for each outlier, where not all are to be trained on."""

_SHARES = {CROP: 8, TRANSLATE: 16}
"""Images are shifted by up to this part of the side: 4 and 2 px at 32 px."""

(
    _ORDER,
    _OUTLIER_ORDER,
    _AUGMENTATION,
    _OUTLIER_AUGMENTATION,
    _DROPOUT,
    _UNLABELLED_ORDER,
    _UNLABELLED_AUGMENTATION,
    _BALANCED_ORDER,
    MIXTURE,
    _FIRST_FLIPS,
) = range(10)


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process computes."""

    rank: int = 0
    processes: int = 1

    def of(self, rows: Tensor) -> Tensor:
        """A contiguous part of the rows of a joined batch."""
        return rows.chunk(self.processes)[self.rank]


@dataclass(frozen=True)
class Batches:
    """All batches of a run.

    Attributes:
        images: uint8 (N, R, R, 3), on the host or on the device.
        labels: int64 (N,), beside `images`.
        outliers: uint8 (M, R, R, 3), M >= 0; or a stream of them.
        settings: Batch sizes, augmentation and seed.
        preprocess: Mean and std.
        device: Where batches are wanted.
        share: The part of this process.
        prior: Share of each class among all training images, float32 (K,), or None.
        unlabelled: Sets of uint8 (any, R, R, 3) that each unlabelled batch is drawn from, in equal
            parts; it is as large as a batch of outliers.
    """

    images: Images
    labels: Tensor
    outliers: Images | OutlierStream
    settings: Settings
    preprocess: Preprocess
    device: torch.device
    share: Share = Share()
    prior: Tensor | None = None
    unlabelled: tuple[Images | OutlierStream, ...] = ()

    @property
    def size(self) -> int:
        """Training images in the joined batch: all of them where they are few."""
        processes = self.share.processes
        return min(self.settings.batch_size, max(1, len(self.images) // processes) * processes)

    @property
    def steps_per_epoch(self) -> int:
        """Batches until every training image was seen."""
        return -(-len(self.images) // self.size)

    def at(self, step: int) -> Batch:
        """This process' share of a batch.

        All batches have the same size: the last of an epoch is filled up from its beginning. With
        diverse sampling the outliers are candidates, 6 for each that the step will have.

        Args:
            step: Number of the batch, counted from the start of the run.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        order = _permutation((self.settings.seed, _ORDER, epoch), len(self.images))
        chosen = order[(position * self.size + np.arange(self.size)) % len(order)]
        if self.settings.balance == BALANCED_SAMPLING:
            chosen = self._balanced.rows(epoch)[chosen]
        rows = self.share.of(torch.from_numpy(chosen))
        labels = taken(self.labels, rows)
        draw = (self.settings.seed, _AUGMENTATION, step)
        flips = None
        if ALTERNATE_FLIP in self.settings.augmentation:
            flips = torch.from_numpy(self._first_flips[chosen] ^ bool(epoch % 2))
        return Batch(
            self._augmented(taken(self.images, rows), draw, flips),
            to_device(labels, self.device),
            self._outliers_at(step) if len(self.outliers) else None,
            self.prior,
            self._unlabelled_at(step) if self.unlabelled else None,
        )

    @cached_property
    def _balanced(self) -> BalancedOrder:
        return BalancedOrder(self.labels.cpu().numpy(), (self.settings.seed, _BALANCED_ORDER))

    @cached_property
    def _first_flips(self) -> NDArray[np.bool_]:
        """Whether each training image (N,) is mirrored in the first epoch."""
        generator = np.random.default_rng((self.settings.seed, _FIRST_FLIPS))
        return generator.integers(0, 2, len(self.images)).astype(np.bool_)

    def _outliers_at(self, step: int) -> Tensor:
        each = CANDIDATES if self.settings.outlier_sampling == DIVERSE else 1
        count = each * self.settings.outlier_batch_size
        images = self._in_rounds(self.outliers, step, count, (_OUTLIER_ORDER,))
        return self._augmented(images, (self.settings.seed, _OUTLIER_AUGMENTATION, step))

    def _unlabelled_at(self, step: int) -> Tensor:
        count = self.settings.outlier_batch_size // len(self.unlabelled)
        parts = [
            self._augmented(
                self._in_rounds(images, step, count, (_UNLABELLED_ORDER, part)),
                (self.settings.seed, _UNLABELLED_AUGMENTATION, part, step),
            )
            for part, images in enumerate(self.unlabelled)
        ]
        return torch.cat(parts)

    def _in_rounds(
        self, images: Images | OutlierStream, step: int, count: int, purpose: tuple[int, ...]
    ) -> Tensor:
        """This process' share of images in shuffled rounds that run on over batches and epochs."""
        draw = (self.settings.seed, *purpose)
        wanted = step * count + np.arange(count)
        if isinstance(images, OutlierStream):
            return torch.from_numpy(
                images.at(draw, self.share.of(torch.from_numpy(wanted)).numpy())
            )
        rounds, places = np.divmod(wanted, len(images))
        chosen = np.concatenate(
            [
                _permutation((*draw, int(turn)), len(images))[places[rounds == turn]]
                for turn in np.unique(rounds)
            ]
        )
        return taken(images, self.share.of(torch.from_numpy(chosen)))

    def _augmented(
        self, images: Tensor, draw: tuple[int, ...], flips: Tensor | None = None
    ) -> Tensor:
        """Augment and normalise, by draws for the joined batch, mirrored as told or by chance."""
        images, names = to_device(images, self.device), self.settings.augmentation
        joined = len(images) * self.share.processes
        seeds = self.share.of(image_seeds(draw, joined))
        if RESIZED_CROP in names:
            images = resized_crops(images, seeds, self.preprocess.size_px)
        else:
            images = _as_decoded(images, self.preprocess)
        if {CROP, TRANSLATE, FLIP, ALTERNATE_FLIP} & set(names):
            images = self._shifted(images, draw, joined, flips)
        images = augmented_each(images, seeds, names)
        if RESIZED_CROP not in names:
            images = _seen(images, self.preprocess)
        batch = _scaled(images, self.preprocess)
        return erased_each(batch, seeds) if ERASE in names else batch

    def _shifted(
        self, images: Tensor, draw: tuple[int, ...], joined: int, flips: Tensor | None
    ) -> Tensor:
        """Shift and flip, by draws for the joined batch."""
        names = self.settings.augmentation
        most = max(
            (images.shape[1] // _SHARES[name] for name in _SHARES if name in names), default=0
        )
        generator = np.random.default_rng(draw)
        shifts = torch.from_numpy(generator.integers(-most, most + 1, (joined, 2)))
        if flips is None:
            by_chance = FLIP in names or ALTERNATE_FLIP in names
            flips = torch.from_numpy(generator.integers(0, 1 + by_chance, joined)).bool()
        return _shift_and_flip(
            images,
            to_device(self.share.of(shifts), self.device),
            to_device(self.share.of(flips), self.device),
            padding=most if CROP in names else 0,
        )


def normalised(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Network input, float32 (N, 3, S, S) in channels-last memory, of uint8 (N, any, any, 3).

    Images of another side than the R of the preprocessing are resized to it, with antialiasing.
    """
    return _scaled(_seen(_as_decoded(images, preprocess), preprocess), preprocess)


def _as_decoded(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Images (N, R, R, 3) of such that may have been kept larger than the network needs them."""
    side = preprocess.resized_px
    if images.shape[1] == side:
        return images
    resized: Tensor = functional.resize(
        images.permute(0, 3, 1, 2), [side, side], InterpolationMode.BILINEAR, antialias=True
    )
    return resized.permute(0, 2, 3, 1)


def _seen(images: Tensor, preprocess: Preprocess) -> Tensor:
    return images[:, preprocess.centre, preprocess.centre]


def _scaled(images: Tensor, preprocess: Preprocess) -> Tensor:
    mean = to_device(torch.tensor(preprocess.mean), images.device)
    std = to_device(torch.tensor(preprocess.std), images.device)
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of torch's generator, which draws the dropout, for one step of one process."""
    state = np.random.SeedSequence((seed, _DROPOUT, step, rank)).generate_state(1, np.uint64)
    return int(state[0])


def _shift_and_flip(images: Tensor, shifts: Tensor, flips: Tensor, *, padding: int) -> Tensor:
    """Shift each image (N, S, S, 3) inside a black frame, mirror some, in one gather.

    Args:
        images: Any dtype.
        shifts: int64 (N, 2), rows and columns, less than S.
        flips: bool (N,).
        padding: Width of the frame, in pixels; what lies beyond it is mirrored at its edge.
    """
    count, side = images.shape[:2]
    framed = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    last = side + 2 * padding - 1
    ahead = torch.arange(side, device=images.device)
    across = torch.where(flips[:, None], ahead.flip(0), ahead)
    rows, columns = (
        last - (last - (padding + shift + along).abs()).abs()
        for shift, along in ((shifts[:, :1], ahead), (shifts[:, 1:], across))
    )
    batch = torch.arange(count, device=images.device)
    return framed[batch[:, None, None], rows[:, :, None], columns[:, None, :]]


@lru_cache(maxsize=8)
def _permutation(draw: tuple[int, ...], count: int) -> NDArray[np.int64]:
    return np.random.default_rng(draw).permutation(count)
