"""The gate: does the written file compute what its reference computes?

The reference is the classifier in float64 and in plain float32 (torch where there is torch), with
the heads' formulas in NumPy. The file's own bytes are compared with it on real training images and
extremes, one at a time; some of them in batches of 2 and 7, and as frames that the graph has to
crop and resize, which shows whether images and sizes stay apart.

A classifier in fewer bits computes something else than its reference, and on purpose. All that
stands around it is float32 as ever: the gate holds it against the same formulas, evaluated on what
the converted classifier says inside the file, second passes included. How an image was moved before
a second pass is not evaluated again; the comparison with float32 sees to that. A classifier that
came in fewer bits is taken in the same way, and held against a run of its own file besides.

Where an image gives what is no number, as dividing a blank one by its deviation does, the file
agrees if it gives none either; the report says where that is so.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from edge_ood.artifact.contract import decision_of, pvalue_of
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.decision import Decision
from edge_ood.errors import ExportError
from edge_ood.graph.network import PREPROCESSED, inner_output, moved_output
from edge_ood.onnx_session import open_session
from edge_ood.parity.batches import run_in_batches
from edge_ood.parity.decision_check import check_decision
from edge_ood.parity.differences import Compared, ParityReport
from edge_ood.parity.extremes import extremes
from edge_ood.parity.limits import Expected, Reference, Subject, largest_errors
from edge_ood.parity.yardstick import Yardstick
from edge_ood.scores import BoundHead
from edge_ood.threads import image_batch

__all__ = ["checked_images", "verify"]

_BATCHES, _OF_LARGE_IMAGES = (2, 7), (2, 3)
_BATCHED_IMAGES = 14
"""The first so many; they show whether images in a batch stay apart, and that they are resized."""

_GREY_LEVELS = 2
"""Nearly always 1; 2 where both passes of a resize round a tie the other way than Pillow."""

_RESIZED_PIXELS = 0.01


def checked_images(count: int, heads: Sequence[BoundHead], reference: Reference | None) -> int:
    """How many images `verify` reads, each as often as it is read, given so many real ones."""
    held = count + len(extremes(1))
    of_file = held + len(_BATCHES) * min(held, _BATCHED_IMAGES)
    if reference is None:
        return of_file
    perturbing = sum(head.epsilon > 0 for head in heads) if reference.exact else 0
    return of_file + held * (1 + perturbing)


def verify(
    path: Path,
    subject: Subject,
    reference: Reference | None,
    images: Mapping[str, NDArray[np.uint8]],
    *,
    provider: str = "auto",
    on_images: Callable[[int], None] = lambda count: None,
) -> ParityReport:
    """Compare a written artefact with its reference, and fail if it differs.

    Args:
        path: The artefact as it will ship.
        subject: What it should be.
        reference: The classifier in float64 and float32; None for a converted one, whose outputs
            are read from the file itself.
        images: Real images (S, S, 3) by name; extremes are added.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        on_images: Called with how many images were compared since the last call.

    Returns:
        The worst difference of every output.

    Raises:
        ExportError: If an output is off; it names output, image and batch size.
    """
    named = {**images, **extremes(subject.preprocess.resized_px)}
    batch = np.stack(list(named.values()))
    model = onnx.load(path)
    check_decision(model, subject.decision)
    yardstick = Yardstick(subject, reference, batch, len(images))
    moving = [] if yardstick.is_exact else [head.name for head in subject.heads if head.epsilon]
    session = open_session(_exposed(model, moving), provider=provider)
    del model
    compared = []
    fits = image_batch(subject.preprocess.size_px) >= max(_BATCHES)
    sizes = _BATCHES if fits else _OF_LARGE_IMAGES
    parts = {1: batch, **dict.fromkeys(sizes, batch[:_BATCHED_IMAGES])}
    runs = {size: _run(session, part, size, on_images) for size, part in parts.items()}
    for size, found in runs.items():
        label = None if yardstick.is_exact else found["logits"].argmax(axis=1)
        compared.append(_compare(yardstick.expected(found), found, size, label))
    names = tuple(named)
    differences = [[c.worst(names, 1)[0] for c in by_output] for by_output in compared]
    worst = [max(found, key=attrgetter("severity")) for found in zip(*differences, strict=True)]
    resized = dict(islice(images.items(), _BATCHED_IMAGES))
    flipped = _check_resizing(session, subject, resized)
    report = ParityReport(
        images=len(batch),
        differences=tuple(worst),
        resized_flips=len(flipped),
        resized_decisions=len(resized) * len(subject.decision.outputs),
        reference=reference.source if reference else "",
        names=names,
        compared=tuple(c for by_output in compared for c in by_output),
        resized=tuple(flipped),
        not_finite=_not_finite(compared[0], runs[1], names),
    )
    _raise_failures(report)
    return report


def _compare(
    expected: Expected,
    found: Mapping[str, NDArray[Any]],
    size: int,
    label: NDArray[Any] | None,
) -> list[Compared]:
    """The errors of every output, in the order of the pipeline; `label` (N,) is to be found."""
    # What no head reads is not in the file.
    errors = {
        name: (largest_errors(found[name], value), expected.allowed[name])
        for name, value in expected.values.items()
        if name in found
    }
    finite = np.isfinite(found["logits"]).all(axis=1)
    label = expected.values["logits"].argmax(axis=1) if label is None else label
    errors["label"] = _exactly((found["label"] != label) & finite)
    flipped = {"label": int(errors["label"][0].sum())}
    for head in expected.subject.heads:
        decision, name, label = expected.subject.decision, head.name, found["label"]
        flips = found[decision_of(name)] != decision.is_ood(name, expected.values[name], label)
        flipped[decision_of(name)] = int(flips.sum())
        # It may flip where the score is as near to the threshold, so its own score has the say.
        errors[decision_of(name)] = _exactly(
            found[decision_of(name)] != decision.is_ood(name, found[name], label)
        )
        errors[pvalue_of(name)] = _exactly(
            _differ(found[pvalue_of(name)], decision.pvalue(name, found[name], label))
        )
    combined = _combined_errors(expected.subject.decision, found)
    errors |= combined
    if combined:
        flipped[decision_of(COMBINED)] = int(combined[decision_of(COMBINED)][0].sum())
    return [
        Compared(output, size, error, allowed, flipped.get(output))
        for output, (error, allowed) in errors.items()
    ]


def _not_finite(
    compared: Sequence[Compared], found: Mapping[str, NDArray[Any]], names: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Output and image wherever a file agrees with its reference that there is no number."""
    return tuple(
        (each.output, names[row])
        for each in compared
        for row in np.flatnonzero(each.error <= each.allowed).tolist()
        if not np.isfinite(found[each.output][row]).all()
    )


def _combined_errors(
    decision: Decision, found: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The combined score against the formula on the file's own scores, to the bit."""
    if not decision.combined:
        return {}
    score, label = found[COMBINED], found["label"]
    expected = {
        COMBINED: decision.combined.combination.score(found),
        decision_of(COMBINED): decision.is_ood(COMBINED, score, label),
        pvalue_of(COMBINED): decision.pvalue(COMBINED, score, label),
    }
    return {name: _exactly(_differ(found[name], value)) for name, value in expected.items()}


def _exposed(model: onnx.ModelProto, moving: Sequence[str]) -> bytes:
    """The file's graph with its inner tensors as further outputs, second passes of some heads too.

    A second pass is looked into only where it is evaluated: a tensor that is shown is not fused.
    """
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    names = {name for node in model.graph.node for name in node.output}
    shown = {output.name for output in model.graph.output}
    inner = [PREPROCESSED, *(n for n in sorted(names) if inner_output(n) not in {None, *shown})]
    first = [output for output in map(inner_output, sorted(names)) if output]
    again = [moved_output(head, output) for head in moving for output in first]
    inner += [name for name in again if name in names]
    exposed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inner
    )
    serialised: bytes = exposed.SerializeToString()
    return serialised


def _run(
    session: Any,
    batch: NDArray[np.uint8],
    size: int,
    on_images: Callable[[int], None] = lambda count: None,
) -> dict[str, NDArray[Any]]:
    found = run_in_batches(session, batch, size, on_images)
    return {inner_output(name) or name: array for name, array in found.items()}


def _differ(found: NDArray[Any], value: NDArray[Any]) -> NDArray[np.bool_]:
    """Where (N,) two numbers are neither equal nor both none."""
    differ: NDArray[np.bool_] = (found != value) & ~(np.isnan(found) & np.isnan(value))
    return differ


def _exactly(wrong: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return wrong.astype(np.float64), np.zeros(len(wrong))


def _check_resizing(
    session: Any, subject: Subject, images: Mapping[str, NDArray[np.uint8]]
) -> list[tuple[str, str]]:
    """Feed frames that need cropping and resizing; returns output and image of decision flips."""
    preprocess = subject.preprocess
    size = preprocess.resized_px
    frames = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((3 * size + 1, 2 * size + 1)))
            for image in images.values()
        ]
    )
    fitted = np.stack([preprocess.fit(frame) for frame in frames])
    in_graph, by_pillow = _run(session, frames, 1), _run(session, fitted, 1)
    scale = 255 * np.array(preprocess.std).reshape(3, 1, 1)
    levels = np.abs(in_graph[PREPROCESSED] - by_pillow[PREPROCESSED]) * scale
    if levels.max() > _GREY_LEVELS + 0.01 or (levels > 0.5).mean() > _RESIZED_PIXELS:
        raise ExportError(
            f"'{PREPROCESSED}': resizing in the graph is up to {levels.max():.1f} grey levels away "
            f"from Pillow on frames of {frames.shape[2]} x {frames.shape[1]} px (allowed "
            f"{_GREY_LEVELS} on {_RESIZED_PIXELS:.0%} of the pixels)",
            hint="report the onnxruntime version and provider",
        )
    return [
        (output, name)
        for output in map(decision_of, subject.decision.outputs)
        for name, flip in zip(images, in_graph[output] != by_pillow[output], strict=True)
        if flip
    ]


def _raise_failures(report: ParityReport) -> None:
    failed = [d for d in report.differences if not d.passed]
    if failed:
        first = failed[0]
        others = ", ".join(repr(d.output) for d in failed[1:])
        raise ExportError(
            f"the file and its reference differ by {first.error:.1e} (allowed {first.allowed:.1e}) "
            f"in output {first.output!r} for image '{first.image}' at batch {first.batch}"
            + (f"; also in {others}" if others else ""),
            hint="nothing was written; report the model if you did not change the file",
        )
