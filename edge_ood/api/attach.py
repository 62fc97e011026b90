"""`edge_ood.attach`: somebody else's ONNX classifier becomes a file that decides."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

from edge_ood.api.artifact_options import ArtifactOptions, artifact_options
from edge_ood.api.plain import PathLike, Words, path_or_none, rgb, words
from edge_ood.attachment.attached import Attached
from edge_ood.attachment.listener import Listener
from edge_ood.files.output import attached_path, check_artifact
from edge_ood.foreign.attach_foreign import attach_foreign
from edge_ood.foreign.conventions import ForeignClassifier
from edge_ood.foreign.id_images import IdFolders
from edge_ood.foreign.inferred import Inferred
from edge_ood.report.leave import leave_export_page
from edge_ood.sources import image_source

__all__ = ["attach"]


def attach(
    classifier: PathLike,
    output: PathLike | None = None,
    *,
    calibration: PathLike,
    id: PathLike | None = None,
    classes: PathLike | None = None,
    channels: str | None = None,
    layout: str | None = None,
    pixels: str | None = None,
    mean: str | Sequence[float] | None = None,
    std: str | Sequence[float] | None = None,
    image_size: int | None = None,
    resize: str | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    logits: str | None = None,
    features: Words | None = None,
    force: bool = False,
    on_step: Callable[[str], None] = lambda name: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda note: None,
    on_inferred: Callable[[Sequence[Inferred]], None] = lambda rows: None,
    **options: Unpack[ArtifactOptions],
) -> Attached:
    """Attach scores, thresholds and a decision to somebody else's ONNX classifier, without torch.

    The parity report lies beside the file, and with the extra `report` a page.

    Args:
        classifier: ONNX file, as PyTorch, Keras, PaddlePaddle and others export it.
        output: The artefact; beside the classifier, `x.ood.onnx` for `x.onnx`, if None.
        calibration: ID images, none trained on, for thresholds: a folder, or a URL, tar shards or
            tables, see `edge_ood.sources`.
        id: Its training images, `id/<class>/<file>`, or such a source with labels; without them
            half of `calibration`, in class folders, fits statistics.
        classes: File of class names in the order of its outputs, one a line; if None, the names
            that the classifier's file has in it, else the sorted class folders.
        channels: What it takes: `rgb` (if None), `bgr` or `gray`.
        layout: `nchw` or `nhwc`, where its input does not tell.
        pixels: What it takes pixels as: `unit`, `byte`, `signed` or `imagenet`; the one that
            labelled images single out if None.
        mean: Instead of `pixels`, of pixels in [0, 1], in RGB.
        std: As `mean`.
        image_size: Side of its input in pixels, where the file leaves it open.
        resize: `center-crop` (if None) or `stretch`.
        crop: Share of the resized side that it sees: 0.875 is the central 224 of 256 px, 1 the
            whole square; if None 1, unless labelled images single out 0.875.
        interpolation: `bilinear` or `bicubic`; if None bilinear, unless labelled images single
            out the other.
        logits: Tensor of class scores, where the search fails.
        features: Tensors that heads on features read; what the last linear layer reads if None.
        force: Replace what is at `output`.
        on_step: Called with each step's name before it starts.
        on_progress: Called within a step with how many images are done, and of how many.
        on_note: Called with sentences that you should read.
        on_inferred: Called with what was found out about the classifier, how sure that is and by
            what, before the long work; the metadata keep it as `provenance["inferred"]`.
        **options: As `ArtifactOptions` lists them: scores, primary, alpha, precision, ...

    Returns:
        Where the file is, what it holds, and how close it is to its reference.

    Raises:
        ArtifactError: If the file is no valid ONNX model, or an artefact already.
        InputError: If it is no classifier of square images, or does not fit the options.
        DataError: If images are unusable, were trained on, or the network does not know them.
        CalibrationError: If there are too few calibration images.
        ExportError: If it cannot be adopted, or the parity gate fails.
    """
    source = ForeignClassifier(
        Path(classifier),
        channels=channels,
        layout=layout,
        pixels=pixels,
        mean=rgb("--mean", mean),
        std=rgb("--std", std),
        size_px=image_size,
        resize=resize or "center-crop",
        crop=crop,
        interpolation=interpolation,
        logits=logits,
        features=words(features),
    )
    target = attached_path(source.path) if output is None else Path(output)
    check_artifact(target, force=force)
    chosen = artifact_options(**options)
    training = None if id is None else image_source(id)
    folders = IdFolders(image_source(calibration), training, path_or_none(classes))
    attached = attach_foreign(
        source,
        folders,
        target,
        chosen,
        listener=Listener(on_step, on_progress, on_note),
        on_inferred=on_inferred,
    )
    leave_export_page(target, on_note)
    return attached
