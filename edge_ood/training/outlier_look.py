"""Whether outliers look otherwise than training images in what they do not show; without torch.

A network tells things apart by whatever is easiest. Outliers that are smaller, blurred or of
another codec teach it that, and it then knows nothing of sharp photographs of something else.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace

from edge_ood.training.headers import read_headers, spread
from edge_ood.training.training_set import TrainingSet

__all__ = ["outliers_note", "sharpness"]

_MUCH = 2.0
"""Between medians: a blur of a pixel and an enlargement by two are beyond, other scenes are not."""

_GREY = (0.299, 0.587, 0.114)


def outliers_note(images: TrainingSet) -> tuple[str, ...]:
    """What to say where outliers differ from the training images in size, sharpness or codec.

    Args:
        images: Decoded; 64 of each split are looked at, evenly spread.
    """
    if not len(images.splits["outliers"]):
        return ()
    found = [*_other_files(images), *_other_sharpness(images)]
    if not found:
        return ()
    return (
        f"outliers differ from the training images in more than what they show: {'; '.join(found)}."
        " Training learns that first: take outliers as your camera would have taken them",
    )


def sharpness(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Variance of the Laplacian (N,) over the variance of the image itself, on grey levels.

    Args:
        pixels: (N, R, R, 3).

    Source: Pech-Pacheco et al. 2000, ICPR, for the variance of the Laplacian; the ratio takes out
    contrast. 0 for an image of one grey level.
    """
    grey = pixels @ np.array(_GREY)
    edges = np.stack([laplace(image) for image in grey])
    spread = grey.var(axis=(1, 2))
    ratio = edges.var(axis=(1, 2)) / np.where(spread > 0, spread, 1)
    return np.asarray(np.where(spread > 0, ratio, 0.0))


def _other_files(images: TrainingSet) -> Iterator[str]:
    known, others = (read_headers(images.splits[split].files) for split in ("training", "outliers"))
    if not (known and others):
        return
    sides = [float(np.median([min(size) for _, size in each])) for each in (known, others)]
    if not 1 / _MUCH < sides[1] / sides[0] < _MUCH:
        yield f"their short side is {sides[1]:.0f} px, not {sides[0]:.0f}"
    codecs = [Counter(codec for codec, _ in each).most_common(1)[0][0] for each in (known, others)]
    if codecs[0] != codecs[1]:
        yield f"most are {codecs[1]}, not {codecs[0]}"


def _other_sharpness(images: TrainingSet) -> Iterator[str]:
    known, others = (
        float(np.median(sharpness(images.pixels[split][spread(len(images.pixels[split]))])))
        for split in ("training", "outliers")
    )
    if known > 0 and others / known < 1 / _MUCH:
        yield f"at the network's size they have {others / known:.0%} of the sharpness"
    elif others > _MUCH * known:
        yield f"at the network's size they are {others / max(known, 1e-9):.1f} times as sharp"
