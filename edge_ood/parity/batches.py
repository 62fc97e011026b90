"""Arrays through a session, some images at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.threads import slices

__all__ = ["run_in_batches"]


def run_in_batches(
    session: Any,  # of onnxruntime, which is loaded late
    images: NDArray[Any],
    size: int,
    on_images: Callable[[int], None] = lambda count: None,
) -> dict[str, NDArray[Any]]:
    """Every output of a session, by name, from its one input.

    Args:
        session: An `onnxruntime.InferenceSession`.
        images: Its input (N, ...).
        size: Of a batch.
        on_images: Called after each batch with the number of images in it.
    """
    (entry,) = [value.name for value in session.get_inputs()]
    names = [value.name for value in session.get_outputs()]
    parts = []
    for part in slices(len(images), size):
        parts.append(session.run(names, {entry: images[part]}))
        on_images(len(images[part]))
    joined = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return dict(zip(names, joined, strict=True))
