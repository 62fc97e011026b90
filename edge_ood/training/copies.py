"""Which images of a run count: each content once in its role, in one role, under one label."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.images.copies import (
    copies_note,
    first_of_each,
    labels_note,
    refuse_trained_on,
    two_labels,
)
from edge_ood.images.folders import ImageSet

__all__ = ["keep_once"]

_COUNTED = ("training", "calibration", "validation", "outliers", "unlabelled")
_LABELLED = _COUNTED[:3]

_Kept = Mapping[str, NDArray[np.bool_]]


def keep_once(
    splits: Mapping[str, ImageSet],
    own: Mapping[str, Path | str | None],
    *,
    is_trained: bool = False,
) -> tuple[dict[str, NDArray[np.bool_]], tuple[str, ...]]:
    """Decide which images count.

    An image under two labels is left out altogether, from wherever it is: a label that contradicts
    itself teaches nothing and measures nothing, and nobody but the user can say which of the two is
    right. It is no error, because large collections have a few. A network that is trained already
    has learnt from it, so that it stays among its training images, and is only named.

    Args:
        splits: By role, with hashes.
        own: The user's folders for calibration and validation; None where our own split is.
        is_trained: Whether a network has been trained on the training images as they are.

    Returns:
        By role, a mask (N,) of the images that count, and notes for the user.

    Raises:
        DataError: If an image of the user's own folders is also a training image.
    """
    kept = {name: np.ones(len(splits[name]), np.bool_) for name in _COUNTED if name in splits}
    _check_own(splits, own)
    notes = [
        *_leave_out_two_labels(splits, kept, is_trained=is_trained),
        *_leave_out_trained(splits, kept),
        *_count_once(splits, kept),
    ]
    return kept, tuple(notes)


def _check_own(splits: Mapping[str, ImageSet], own: Mapping[str, Path | str | None]) -> None:
    trained = [splits["training"], splits["pretraining"]]
    for name, folder in own.items():
        if folder is not None:
            refuse_trained_on(splits[name], trained, name, folder)


def _leave_out_two_labels(
    splits: Mapping[str, ImageSet], kept: _Kept, *, is_trained: bool
) -> Iterator[str]:
    names = _LABELLED[1:] if is_trained else _LABELLED
    if is_trained:
        yield from labels_note(two_labels([splits["training"]]), "trained on")
    found = two_labels([splits[name] for name in names])
    for name in names:
        kept[name][[digest in found for digest in splits[name].hashes]] = False
    yield from labels_note(found, "left out")


def _leave_out_trained(splits: Mapping[str, ImageSet], kept: _Kept) -> Iterator[str]:
    """Leave copies of training images out of our own splits; the user's have none."""
    for name in ("calibration", "validation"):
        copies = kept[name] & _is_trained_on(splits, name)
        if copies.any():
            first = splits[name].paths[int(copies.argmax())]
            yield (
                f"left out, as copies of training images: {int(copies.sum())} of {len(copies)}"
                f" {name} images, the first is '{first}'"
            )
            kept[name][copies] = False


def _count_once(splits: Mapping[str, ImageSet], kept: _Kept) -> Iterator[str]:
    for name, mask in kept.items():
        # The same image under two labels is still there only where a network has learnt from both.
        left = splits[name].subset(mask)
        first = first_of_each(left.hashes, left.labels)
        yield from copies_note(left.paths, first, name)
        mask[mask] = first


def _is_trained_on(splits: Mapping[str, ImageSet], name: str) -> NDArray[np.bool_]:
    trained = {*splits["training"].hashes, *splits["pretraining"].hashes}
    return np.array([digest in trained for digest in splits[name].hashes], np.bool_)
