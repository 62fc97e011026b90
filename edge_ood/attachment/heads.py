"""Which heads an artefact gets: those that were asked for, or the default ones that fit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_ood.attachment.request import Options, Request
from edge_ood.attachment.statistics import images_to_read, with_statistics
from edge_ood.attachment.step_images import statistics_images
from edge_ood.errors import InputError
from edge_ood.images.folders import ImageSet
from edge_ood.scores import (
    FEATURES_PREFIX,
    NO_LAST_LAYER,
    BoundHead,
    bind_head,
    fitting_heads,
)
from edge_ood.threads import Meter

__all__ = ["FittedHeads", "check_asked_for", "fitted_heads"]


@dataclass(frozen=True)
class FittedHeads:
    """Heads with their statistics, and what became of the others.

    Attributes:
        heads: In output order.
        left_out: By the name of a default head, why it is not there.
        notes: What the user should know, one sentence each.
    """

    heads: tuple[BoundHead, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_asked_for(options: Options, missing: Mapping[str, str]) -> None:
    """Refuse heads that were asked for by name and cannot be had.

    Args:
        options: What was asked for.
        missing: By head, why it cannot be had.

    Raises:
        InputError: Naming the first of them, and the reason.
    """
    for name in (spec.name for spec in options.heads if spec.name in missing):
        raise InputError(
            f"score {name!r} cannot be had: {missing[name]}",
            hint=f"leave {name!r} out of --scores",
        )


def fitted_heads(
    request: Request, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> FittedHeads:
    """The heads that were asked for, or the default ones that fit; the others are explained.

    Args:
        request: Its classifier, as it ships, gives the features; its images are labelled where a
            head that was asked for is fitted by class.
        on_progress: Called with how many images were read, and of how many.

    Raises:
        CalibrationError: If statistics of a head that was asked for cannot be estimated.
        InputError: If the head that is to decide does not fit.
        DataError: If an image cannot be read.
    """
    options = request.options
    if options.heads:
        bound = options.bound_heads
        images, _ = statistics_images(request, bound)
        doubts = [f"{name!r}: {why}" for name, why in _unsuited(request, bound, images)]
        meter = Meter(images_to_read(bound, images), on_progress)
        heads = with_statistics(request, bound, images, on_images=meter.advance)
        return FittedHeads(heads, {}, tuple(doubts))
    given = [output.name for output in request.classifier.graph.output]
    names = options.default_names
    candidates = [bind_head(spec) for spec in fitting_heads(names, given)]
    left_out = {name: request.missing[name] for name in names if name in request.missing}
    candidates = [head for head in candidates if head.name not in left_out]
    images, _ = statistics_images(request, candidates)
    left_out |= dict(_unsuited(request, candidates, images))
    suited = [head for head in candidates if head.name not in left_out]
    meter = Meter(images_to_read(suited, images), on_progress)
    heads = with_statistics(request, suited, images, left_out=left_out, on_images=meter.advance)
    notes = [f"no {name!r}: {why}" for name, why in left_out.items()]
    _check_deciding(options, heads, left_out)
    return FittedHeads(heads, left_out, tuple(notes))


def _check_deciding(
    options: Options, heads: Sequence[BoundHead], left_out: Mapping[str, str]
) -> None:
    """Refuse that a head decides which cannot be had."""
    if options.primary is not None and options.primary in left_out:
        # What needs no statistics stands on its own; fitted heads are as good as their images.
        first = next((head for head in heads if head.head.fit is None), heads[0]).name
        raise InputError(
            f"score {options.primary!r} cannot decide: {left_out[options.primary]}",
            hint=f"--primary {first}",
        )


def _unsuited(
    request: Request, heads: Sequence[BoundHead], images: ImageSet
) -> Iterator[tuple[str, str]]:
    """Fitted heads without a last layer to read, or with too few images, each with the reason."""
    if images.labels is None:
        return
    reading = [head for head in heads if head.head.reads_linear]
    if reading and request.linear is None:
        heads = [head for head in heads if head not in reading]
        yield from ((head.name, NO_LAST_LAYER) for head in reading)
    counts = np.bincount(images.labels, minlength=len(request.classes))
    widths = {
        output.name.removeprefix(FEATURES_PREFIX): output.type.tensor_type.shape.dim[1].dim_value
        for output in request.classifier.graph.output
        if output.name.startswith(FEATURES_PREFIX)
    }
    for head in heads:
        if why := head.too_few(counts.tolist(), widths):
            yield head.name, why
