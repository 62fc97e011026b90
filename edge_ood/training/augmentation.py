"""Augmentation for photographs: torchvision's own transforms, drawn anew for each image.

In this order, whatever the order in which they are asked for:

1. `resized-crop`: 8 % to all of the area, at a ratio of sides between 3:4 and 4:3, becomes the
   network's input (Szegedy et al. 2015, arXiv:1409.4842, section 6). It chooses from all that was
   decoded, which is more than the network sees.
2. `crop`, `translate` and `flip` are those of `edge_ood.training.batches`. `crop` shifts by up to
   an eighth of the side, which black fills; `translate` by up to a sixteenth, and the image goes on
   mirrored (Jordan 2024, the released code). With `alternate-flip` a training
   image is mirrored in every second epoch, by chance from the first or the second on, so that two
   epochs show it both ways (Jordan 2024, arXiv:2404.00498, section 3.6); outliers, which need not
   come round again, as with `flip`.
3. `rotate`: by up to 30 degrees, as RandAugment does at most; corners become black.
4. `trivial`: TrivialAugmentWide, one of 14 changes of shape or colour at one of 31 strengths
   (Mueller and Hutter 2021, arXiv:2103.10158).
5. `color`: brightness, contrast and saturation by 60 % to 140 % each, in any order, as
   https://github.com/facebookarchive/fb.resnet.torch does; the hue stays.
6. `blur`: of every second image, Gaussian, sigma 0.1 to 2 px, 10 % of the side wide (SimCLR: Chen
   et al. 2020, arXiv:2002.05709, appendix A).
7. `erase`: of every tenth image, after normalisation, a rectangle of 2 % to 33 % of the area
   becomes the mean colour (Zhong et al. 2020, arXiv:1708.04896).

Where a number has no source here, it is that of torchvision's `references/classification`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from edge_ood.training.settings import BLUR, COLOR, ERASE, RESIZED_CROP, ROTATE, TRIVIAL

__all__ = ["augmented_each", "erased_each", "image_seeds", "resized_crops"]

_Transform = Callable[[Tensor], Tensor]

_BILINEAR = v2.InterpolationMode.BILINEAR
_MOST_DEGREES = 30
_COLOR_STRENGTH = 0.4
_BLUR_SHARE, _BLUR_SIGMA_PX = 0.1, (0.1, 2.0)
_ERASED = 0.1
_SEEN = "what the network sees"
_STREAMS = (RESIZED_CROP, _SEEN, ERASE)
"""What is drawn apart for one image, as other work lies in between."""


def image_seeds(draw: tuple[int, ...], count: int) -> Tensor:
    """Seeds of torch's generator, int64 (N,): a function of the draw and the place alone."""
    state = np.random.SeedSequence(draw, spawn_key=(1,)).generate_state(count, np.uint64)
    return torch.from_numpy((state >> np.uint64(1)).astype(np.int64))


def resized_crops(images: Tensor, seeds: Tensor, size_px: int) -> Tensor:
    """Random parts of images uint8 (N, R, R, 3), as (N, S, S, 3)."""
    cut = v2.RandomResizedCrop(size_px, interpolation=_BILINEAR, antialias=True)
    return _each(images.permute(0, 3, 1, 2), seeds, RESIZED_CROP, cut)


def augmented_each(images: Tensor, seeds: Tensor, names: Sequence[str]) -> Tensor:
    """Those of the changes that are asked for, of images uint8 (N, R, R, 3)."""
    transforms: Mapping[str, Callable[[], v2.Transform]] = {
        ROTATE: lambda: v2.RandomRotation(_MOST_DEGREES, interpolation=_BILINEAR),
        TRIVIAL: lambda: v2.TrivialAugmentWide(interpolation=_BILINEAR),
        COLOR: lambda: v2.ColorJitter(_COLOR_STRENGTH, _COLOR_STRENGTH, _COLOR_STRENGTH),
        BLUR: lambda: v2.RandomApply([_blur(images.shape[1])], 0.5),
    }
    chosen = [make() for name, make in transforms.items() if name in names]
    if not chosen:
        return images
    return _each(images.permute(0, 3, 1, 2), seeds, _SEEN, v2.Compose(chosen))


def erased_each(images: Tensor, seeds: Tensor) -> Tensor:
    """Normalised images (N, 3, S, S) in channels-last memory, of which some lack a rectangle."""
    return _each(images, seeds, ERASE, v2.RandomErasing(_ERASED)).permute(0, 3, 1, 2)


def _blur(side: int) -> v2.GaussianBlur:
    width = max(3, int(_BLUR_SHARE * side) // 2 * 2 + 1)
    return v2.GaussianBlur(width, _BLUR_SIGMA_PX)


def _each(images: Tensor, seeds: Tensor, stream: str, transform: _Transform) -> Tensor:
    """One image (3, ., .) after the other, each with draws of its own; the result is (N, ., ., 3).

    torchvision draws from torch's generator of the CPU, which is as it was before afterwards: the
    dropout of the step comes from it, too.
    """
    generator, place = torch.default_generator, _STREAMS.index(stream)
    before = generator.get_state()
    try:
        changed = []
        for image, seed in zip(images, seeds.tolist(), strict=True):
            generator.manual_seed(seed ^ place)
            changed.append(transform(image).permute(1, 2, 0))
    finally:
        generator.set_state(before)
    return torch.stack(changed)
