"""`edge_ood.export`: a trained network becomes one ONNX file that decides."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from edge_ood.api.artifact_options import ArtifactOptions, artifact_options
from edge_ood.api.plain import PathLike, Words, path_or_none, rgb, spec, words
from edge_ood.attachment.attached import Attached
from edge_ood.attachment.listener import Listener
from edge_ood.errors import MissingDependencyError, UsageError
from edge_ood.files.output import check_artifact
from edge_ood.registry import Spec
from edge_ood.report.leave import leave_export_page
from edge_ood.sources import image_source

__all__ = ["export"]

_NEEDED = ("model", "weights", "train", "calibration")
_FOLDER = "exported"


def export(
    run: PathLike | None = None,
    output: PathLike | None = None,
    *,
    model: str | Spec | None = None,
    weights: PathLike | None = None,
    train: PathLike | None = None,
    calibration: PathLike | None = None,
    outliers: PathLike | None = None,
    classes: PathLike | None = None,
    image_size: int | None = None,
    resize: str | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    mean: str | Sequence[float] | None = None,
    std: str | Sequence[float] | None = None,
    trust: bool = False,
    statistics: str = "training",
    layers: Words | None = None,
    force: bool = False,
    on_step: Callable[[str], None] = lambda name: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda note: None,
    **options: Unpack[ArtifactOptions],
) -> Attached:
    """Export a trained network as one ONNX file: preprocessing, scores, thresholds, decision.

    The network is that of a run directory, or any other, described by `model`, `weights`, `train`
    and `calibration`. The parity report lies beside the file, and with the extra `report` a page.

    Args:
        run: What `edge_ood.train` wrote.
        output: The artefact; in `exported/`, named after the run or the weights, if None.
        model: Instead of `run`, the name of a network that is trained already, or
            `"package.module:function"`, which runs your own code. With `run`, the same as it was
            trained with, where that is code: a run directory alone runs none.
        weights: Its weights, as safetensors or a torch state dict.
        train: Its training images, `train/<class>/<file>`, or a URL, tar shards or tables with
            labels, see `edge_ood.sources`.
        calibration: ID images, none trained on, for thresholds alone; likewise.
        outliers: Auxiliary outliers, to choose parameters by.
        classes: File of class names in the order of its outputs, one a line, of which some may have
            no training image; if None, those of the training images, sorted.
        image_size: Side of its input in pixels; as published weights of that name, if None.
        resize: `center-crop` or `stretch`.
        crop: Share of the resized side that it sees: 0.875 is the central 224 of 256 px; as
            published, if None, else 1.
        interpolation: `bilinear` or `bicubic`; as published, if None, else `bilinear`.
        mean: Per RGB channel, of pixels in [0, 1]; as published, if None.
        std: As `mean`.
        trust: Whether the run may name code to run, in place of repeating `model`.
        statistics: Images that fit statistics: `training` or `calibration`.
        layers: Feature layers besides the last: `auto`, or names of submodules.
        force: Replace what is at `output`.
        on_step: Called with each step's name before it starts.
        on_progress: Called within a step with how many images are done, and of how many.
        on_note: Called with sentences that you should read.
        **options: As `ArtifactOptions` lists them: scores, primary, alpha, precision, ...

    Returns:
        Where the file is, what it holds, and how close it is to its reference.

    Raises:
        UsageError: If neither a run nor a whole description is given, or both are.
        ArtifactError: If the run or the weights are damaged or do not fit.
        InputError: If an option is unknown, out of range or does not fit another.
        DataError: If images are unusable, or the network does not know its training images.
        CalibrationError: If there are too few calibration images.
        ExportError: If the network cannot be exported, or the parity gate fails.
        MissingDependencyError: If torch is not installed.
    """
    described = {
        "model": model,
        "weights": weights,
        "train": train,
        "calibration": calibration,
        "outliers": outliers,
        "classes": classes,
        "image_size": image_size,
        "resize": resize,
        "crop": crop,
        "interpolation": interpolation,
        "mean": mean,
        "std": std,
    }
    _check_usage(run, described)
    colours = rgb("--mean", mean), rgb("--std", std)
    target = Path(output) if output is not None else _named_after(run, weights)
    check_artifact(target, force=force)
    try:
        from edge_ood.torch_export.export import export_network, export_run  # noqa: PLC0415  # torch
        from edge_ood.training.roles import TrainedOn  # noqa: PLC0415  # beside these
        from edge_ood.weights.source import NetworkSource  # noqa: PLC0415  # torch
    except ModuleNotFoundError as error:
        raise MissingDependencyError("exporting", error.name or "torch", "train") from error

    chosen = artifact_options(statistics=statistics, layers=words(layers), **options)
    listener = Listener(on_step, on_progress, on_note)
    if run is not None:
        attached = export_run(
            Path(run),
            target,
            chosen,
            model=None if model is None else spec(model),
            trust=trust,
            listener=listener,
        )
    else:
        assert model  # `_check_usage`, for these three
        assert weights
        assert train
        source = NetworkSource(
            spec(model),
            Path(weights),
            image_size,
            *colours,
            resize,
            crop,
            interpolation,
        )
        images = TrainedOn(
            image_source(train),
            image_source(calibration),
            None if outliers is None else image_source(outliers),
            path_or_none(classes),
        )
        attached = export_network(
            source,
            images,
            target,
            chosen,
            listener=listener,
        )
    leave_export_page(target, on_note)
    return attached


def _check_usage(run: PathLike | None, described: Mapping[str, object]) -> None:
    """Refuse half a description, and one of a run, which knows it all."""
    given = [name for name, value in described.items() if value is not None]
    absent = [name for name in _NEEDED if name not in given]
    known = [name for name in given if name != "model"]
    if run is not None and known:
        raise UsageError(f"a run directory knows its {_options(known)}; leave them out")
    if run is None and not given:
        raise UsageError(f"give a run directory, or {_options(_NEEDED)}")
    if run is None and absent:
        raise UsageError(f"without a run directory, {_options(absent)} is needed, too")


def _options(names: Sequence[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _named_after(run: PathLike | None, weights: PathLike | None) -> Path:
    stem = Path(run).resolve().name if run is not None else Path(str(weights)).stem
    return Path(_FOLDER, f"{stem}.onnx")
