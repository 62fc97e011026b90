"""Which heads an artefact gets: those that were asked for, or the default ones that fit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edge_ood.attachment.request import Options, Request
from edge_ood.attachment.statistics import images_to_read, with_statistics
from edge_ood.attachment.step_images import statistics_images
from edge_ood.errors import InputError
from edge_ood.images.folders import ImageSet
from edge_ood.registry import Spec
from edge_ood.scores import (
    DEFAULT_HEADS,
    DEFAULT_PRIMARY,
    FEATURES_PREFIX,
    BoundHead,
    bind_head,
    default_heads,
)
from edge_ood.threads import Meter

__all__ = ["FittedHeads", "check_asked_for", "fitted_heads"]


@dataclass(frozen=True)
class FittedHeads:
    """Heads with their statistics, and what became of the others.

    Attributes:
        heads: In output order.
        options: The request's, with these heads and a primary head among them.
        left_out: By the name of a default head, why it is not there.
        notes: What the user should know, one sentence each.
    """

    heads: tuple[BoundHead, ...]
    options: Options
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
        return FittedHeads(heads, options, {}, tuple(doubts))
    given = [output.name for output in request.classifier.graph.output]
    candidates = [bind_head(spec) for spec in default_heads(given)]
    left_out = {n: request.missing[n] for n in DEFAULT_HEADS if n in request.missing}
    candidates = [head for head in candidates if head.name not in left_out]
    images, _ = statistics_images(request, candidates)
    left_out |= dict(_unsuited(request, candidates, images))
    suited = [head for head in candidates if head.name not in left_out]
    meter = Meter(images_to_read(suited, images), on_progress)
    heads = with_statistics(request, suited, images, left_out=left_out, on_images=meter.advance)
    chosen = _with_heads(options, heads, left_out)
    notes = [f"no {name!r}: {why}" for name, why in left_out.items()]
    if chosen.primary != options.primary:
        notes.append(f"{chosen.primary!r} decides")
    return FittedHeads(heads, chosen, left_out, tuple(notes))


def _with_heads(
    options: Options, heads: tuple[BoundHead, ...], left_out: Mapping[str, str]
) -> Options:
    specs = [Spec(head.name) for head in heads]
    if options.primary not in left_out:
        return replace(options, heads=specs)
    # What needs no statistics stands on its own; fitted heads are as good as their images.
    first = next((head for head in heads if head.head.fit is None), heads[0]).name
    if options.primary != DEFAULT_PRIMARY:
        raise InputError(
            f"score {options.primary!r} cannot decide: {left_out[options.primary]}",
            hint=f"--primary {first}",
        )
    return replace(options, heads=specs, primary=first)


def _unsuited(
    request: Request, heads: Sequence[BoundHead], images: ImageSet
) -> Iterator[tuple[str, str]]:
    """Fitted heads for which the images are too few, each with the reason."""
    if images.labels is None:
        return
    counts = np.bincount(images.labels, minlength=len(request.classes))
    widths = {
        output.name.removeprefix(FEATURES_PREFIX): output.type.tensor_type.shape.dim[1].dim_value
        for output in request.classifier.graph.output
        if output.name.startswith(FEATURES_PREFIX)
    }
    for head in heads:
        if why := head.too_few(counts.tolist(), widths):
            yield head.name, why
