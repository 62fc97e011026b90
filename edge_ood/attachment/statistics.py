"""Statistics of heads, fitted through onnxruntime in one pass over images.

A head that is fitted on moved images, too, has a pass of its own over a few of them.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from edge_ood.attachment.reader import FedShare, feed, reader_of
from edge_ood.attachment.request import Request
from edge_ood.errors import CalibrationError
from edge_ood.images.folders import ImageSet
from edge_ood.images.splits import evenly_spread
from edge_ood.runtime.on_ray import on_workers
from edge_ood.scores import Accumulator, BoundHead

__all__ = ["images_to_read", "with_statistics"]

_MOVED_IMAGES = 1000


def images_to_read(heads: Sequence[BoundHead], images: ImageSet) -> int:
    """How many images `with_statistics` reads, each as often as it is read."""
    moving = [_is_fitted_moved(head) for head in heads if head.head.fit]
    passes = int(not all(moving))
    return passes * len(images) + sum(moving) * len(_moved_images(images))


def with_statistics(
    request: Request,
    heads: Sequence[BoundHead],
    images: ImageSet,
    *,
    left_out: MutableMapping[str, str] | None = None,
    on_images: Callable[[int], None] = lambda count: None,
) -> tuple[BoundHead, ...]:
    """The heads, those that are fitted with statistics of these images.

    Args:
        request: Its classifier, as it ships, gives the features.
        heads: With parameters.
        images: Labelled; they are not opened if no head is fitted.
        left_out: Gets the heads whose statistics cannot be estimated, by name with the reason, in
            place of an error.
        on_images: Called after each batch with the number of images in it.

    Raises:
        CalibrationError: If statistics cannot be estimated.
        InputError: If a head needs a last layer, and there is none.
        DataError: If an image cannot be read.
    """
    linear = request.linear if any(head.head.reads_linear for head in heads) else None
    accumulators = {
        head.name: accumulator
        for head in heads
        for accumulator in [head.accumulator(len(request.classes), linear)]
        if accumulator is not None
    }
    moving = [head for head in heads if _is_fitted_moved(head)]
    alone = {head.name for head in moving}
    still = [fitted for name, fitted in accumulators.items() if name not in alone]
    if still:
        _feed(request, None, images, still, on_images)
    for head in moving:
        _feed(request, head, _moved_images(images), [accumulators[head.name]], on_images)
    fitted, failed = [], {}
    for head in heads:
        try:
            fitted.append(_finished(head, accumulators.get(head.name)))
        except CalibrationError as error:
            failed[head.name] = error
    if failed and left_out is None:
        raise _together(failed)
    if left_out is not None:
        left_out.update({name: str(error) for name, error in failed.items()})
    return tuple(fitted)


def _together(failed: Mapping[str, CalibrationError]) -> CalibrationError:
    """One error for all heads whose statistics cannot be estimated, of which the first says why."""
    name, first = next(iter(failed.items()))
    others = ", ".join(repr(other) for other in failed if other != name)
    return CalibrationError(
        f"no {name!r}{f', nor {others}' if others else ''}: {first}",
        hint="; or ".join(filter(None, (first.hint, "leave them out of --scores"))),
    )


def _feed(
    request: Request,
    moving: BoundHead | None,
    images: ImageSet,
    accumulators: Sequence[Accumulator],
    on_images: Callable[[int], None],
) -> None:
    """Let accumulators see all images, here or each worker's share of them on a cluster."""
    reader, cluster = reader_of(request, moving), request.options.cluster
    if cluster is None:
        feed(reader.outputs(images, on_images), accumulators)
        return
    task = FedShare(reader, str(Path.cwd()), images, tuple(accumulators), cluster.cores_per_worker)
    for share in on_workers(cluster, task):
        for accumulator, other in zip(accumulators, share, strict=True):
            accumulator.merge(deepcopy(other))  # from Ray, arrays are read-only
    on_images(len(images))


def _finished(head: BoundHead, accumulator: Accumulator | None) -> BoundHead:
    return head if accumulator is None else replace(head, statistics=accumulator.finish())


def _is_fitted_moved(head: BoundHead) -> bool:
    return head.head.fits_moved and head.epsilon > 0


def _moved_images(images: ImageSet) -> ImageSet:
    """Those that a gradient is affordable for, spread over the set."""
    return evenly_spread(images, _MOVED_IMAGES)
