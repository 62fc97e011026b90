"""Somebody else's ONNX classifier becomes an artefact: read, tried out, adopted, then `attach`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edge_ood.attachment.attach import attach
from edge_ood.attachment.attached import Attached
from edge_ood.attachment.heads import check_asked_for
from edge_ood.attachment.listener import SILENT, Listener
from edge_ood.attachment.request import Options, Request
from edge_ood.errors import InputError
from edge_ood.files.paths import file_sha256
from edge_ood.foreign.adopted import check_adopted
from edge_ood.foreign.conventions import (
    ForeignClassifier,
    ForeignNetwork,
    conventions_of,
)
from edge_ood.foreign.gradients import check_gradients
from edge_ood.foreign.heads import missing_heads
from edge_ood.foreign.id_images import IdFolders, IdImages, read_id_images
from edge_ood.foreign.inferred import Inferred, inferred_about, inferred_classes, stored
from edge_ood.foreign.memory_limit import within_memory
from edge_ood.foreign.output_kind import BOUNDED
from edge_ood.foreign.own_names import found_names
from edge_ood.foreign.publishers import as_published
from edge_ood.foreign.trial import Trial, try_network
from edge_ood.graph.adopt import adopt
from edge_ood.graph.endings import Ending, find_ending
from edge_ood.graph.evaluation_mode import check_mode, check_weights
from edge_ood.graph.intake import image_input, normal_form, read_model
from edge_ood.graph.own_part import cut_to
from edge_ood.images.folders import ImageSet
from edge_ood.parity.onnx_reference import onnx_reference

__all__ = ["attach_foreign"]

_MULTI_LABEL = (
    "it ends in a sigmoid for each class, as where an image may have several labels: the artefact "
    "names the largest alone, and its scores are those of one label an image"
)


def attach_foreign(
    source: ForeignClassifier,
    folders: IdFolders,
    output: Path,
    options: Options,
    *,
    listener: Listener = SILENT,
    on_inferred: Callable[[Sequence[Inferred]], None] = lambda rows: None,
) -> Attached:
    """Attach scores, thresholds and decisions to a classifier that was exported elsewhere.

    Args:
        source: The classifier.
        folders: Images that it knows.
        output: Where the artefact goes; an existing file is replaced.
        options: Heads, primary head, false-alarm rate and the like.
        listener: Hears of steps, progress and notes.
        on_inferred: Called with what was found out about the classifier, before the long work.

    Raises:
        ArtifactError: If the file is no valid ONNX model, or an artefact already.
        InputError: If it is no classifier of square images, or does not fit the options.
        DataError: If images are unusable, were trained on, or the network does not know them.
        CalibrationError: If there are too few calibration images.
        ExportError: If it cannot be adopted, or the parity gate fails.
    """
    on_step, on_note = listener.on_step, listener.on_note
    on_step("read")
    model = read_model(source.path)
    described = source
    source, published = as_published(source, model)
    entry = image_input(model, layout=source.layout, size_px=source.size_px)
    on_step("images")
    own = found_names(model, source.path)
    images = read_id_images(folders, own.names)
    for note in images.notes:
        on_note(note)
    options.guarantee.check_images(len(images.calibration) + len(images.held_back))
    _check_precision(options, images)
    normal = normal_form(model, entry, logits=source.logits)
    ending = find_ending(
        normal,
        classes=len(images.classes) or None,
        folders=() if folders.classes or images.classes == own.names else images.classes,
        logits=source.logits,
        features=source.features,
    )
    used = cut_to(model, [ending.output])
    check_weights(used)
    check_mode(used)
    images = _with_classes(images, ending, own.names)
    on_step("try")
    with within_memory("the model cannot run on these images"):
        network = ForeignNetwork(
            model, ending.output, entry.batch, options.provider, listener.on_progress
        )
        tried = try_network(
            network,
            conventions_of(source, entry),
            images,
            activation=ending.activation,
            open_geometry=source.open_geometry,
            on_note=on_note,
        )
    tried = _understood(tried, ending, on_note)
    missing = missing_heads(images, ending, tried)
    check_asked_for(options, missing)
    classifier = adopt(
        normal,
        entry,
        ending,
        channels=tried.convention.channels,
        probabilities=tried.gives in ("probabilities", BOUNDED),
    )
    check_adopted(classifier, tried, ending, network)
    check_gradients(options.bound_heads, entry, classifier)
    inferred = [
        *inferred_about(described, published, entry, tried, ending),
        inferred_classes(folders, images, tried, own),
    ]
    on_inferred(inferred)
    perturbing = sum(head.epsilon > 0 for head in options.bound_heads)
    preprocess = tried.convention.preprocess
    reference = onnx_reference(classifier, preprocess, perturbing=perturbing, on_note=on_note)
    if perturbing and not reference.exact:
        raise InputError(
            f"{reference.reason}, so no gradient can be checked that "
            f"{next(head.name for head in options.bound_heads if head.epsilon)!r} steps along",
            hint="leave it out of --scores, or attach the float32 classifier",
        )
    request = Request(
        classifier=classifier,
        reference=reference,
        preprocess=preprocess,
        classes=images.classes,
        training=images.deciding,
        calibration=images.calibration,
        options=options,
        training_role=images.role,
        lent=_lent(images, tried),
        provenance={
            **_provenance(source, model, ending, tried, images),
            "inferred": stored(inferred),
        },
        missing=missing,
    )
    del model, network, normal, tried, used  # of a large network they would double the peak
    return attach(request, output, listener=listener)


def _understood(tried: Trial, ending: Ending, on_note: Callable[[str], None]) -> Trial:
    """The trial, with what its output holds as the graph has it; says what that means."""
    if ending.activation == "sigmoid" and ending.width > 1:
        on_note(_MULTI_LABEL)
    if tried.gives != BOUNDED:
        return tried
    if ending.is_linear:  # cosines, for example
        return replace(tried, gives="logits")
    on_note(f"{ending.output!r} holds {BOUNDED}; divided by their sum, they are probabilities")
    return tried


def _check_precision(options: Options, images: IdImages) -> None:
    if options.precision == "int8" and images.role == "calibration":
        raise InputError(
            "the ranges of int8 come from images that set no threshold, and there are none",
            hint="give --id, or class folders in --calibration; or --precision fp16",
        )


def _lent(images: IdImages, tried: Trial) -> ImageSet:
    """Images that set thresholds where none is needed for statistics.

    Not those by which a convention was chosen: it would suit them better than other images.
    """
    rest = [path not in tried.chosen_by for path in images.held_back.paths]
    return images.held_back.subset(np.array(rest, np.bool_))


def _with_classes(images: IdImages, ending: Ending, own: tuple[str, ...]) -> IdImages:
    """Those of the images, else of the file, else numbers."""
    count = max(2, ending.width)
    numbers = tuple(map(str, range(count)))
    return replace(images, classes=images.classes or (own if len(own) == count else numbers))


def _provenance(
    source: ForeignClassifier,
    model: onnx.ModelProto,
    ending: Ending,
    tried: Trial,
    images: IdImages,
) -> dict[str, Any]:
    convention = tried.convention
    statistics = {"training": "training", "statistics": "calibration"}.get(images.role, "none")
    return {
        "statistics": statistics,
        "classifier": {
            "file": source.path.name,
            "sha256": file_sha256(source.path),
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
        },
        "takes": {
            "channels": convention.channels,
            "layout": convention.entry.layout,
            "pixels": convention.pixels,
        },
        "gives": {
            "output": ending.output,
            "logits": ending.logits,
            **{f"features/{layer}": tensor for layer, tensor in ending.features.items()},
        },
        **({} if tried.accuracy is None else {"accuracy": tried.accuracy}),
    }
