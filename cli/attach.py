"""`edge-ood attach`: somebody else's ONNX classifier becomes a file that decides."""

from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._made import report_artefact
from edge_ood.cli._options import (
    AlphaOption,
    ConfidenceOption,
    EpsilonOption,
    ForceOption,
    Int8TargetOption,
    MaxLabelFlipsOption,
    PerClassOption,
    PrecisionOption,
    PrimaryOption,
    ProviderOption,
    ScoresOption,
    announce_step,
    artefact_options,
    parse_colours,
    print_note,
)

__all__ = ["attach"]


def attach(
    classifier: Annotated[
        Path, typer.Argument(metavar="CLASSIFIER.onnx", help="Exported by PyTorch, Keras, ...")
    ],
    *,
    calibration: Annotated[
        Path, typer.Option(metavar="DIR", help="Known images, none trained on, for thresholds.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The artefact.")],
    training: Annotated[
        Path | None,
        typer.Option(
            "--id",
            metavar="DIR",
            help="Its training images, DIR/<class>/<file>; without them half of --calibration, "
            "in class folders, fits statistics.",
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Class names in the order of its outputs, one a line; the sorted class folders "
            "by default.",
        ),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="What it takes: rgb (default), bgr or gray.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="nchw or nhwc, where its input does not tell.")
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(
            help="What it takes pixels as: unit [0, 1], byte [0, 255], signed [-1, 1] or imagenet "
            "(its mean and std); by default the one that labelled images single out."
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Instead of --pixels, of pixels in [0, 1], in RGB."),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Of pixels in [0, 1], in RGB order.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Its input, px, where the file leaves it open.")
    ] = None,
    resize: Annotated[str, typer.Option(help="center-crop or stretch.")] = "center-crop",
    logits: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Tensor of class scores, where the search fails."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Tensors that mahalanobis reads; what the last linear layer reads by default.",
        ),
    ] = None,
    scores: ScoresOption = None,
    primary: PrimaryOption = "energy",
    alpha: AlphaOption = 0.05,
    confidence: ConfidenceOption = None,
    per_class: PerClassOption = None,
    epsilon: EpsilonOption = "declared",
    precision: PrecisionOption = "fp32",
    int8_target: Int8TargetOption = None,
    max_label_flips: MaxLabelFlipsOption = None,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
) -> None:
    r"""Attach scores, thresholds and a decision to somebody else's ONNX classifier.

    Preprocessing, labels, score heads, thresholds and p-values go into one file, without torch.
    Logits and features are found in the graph: before a softmax, and where its last linear layer
    reads.

    Example: edge-ood attach resnet18.onnx --id data/train --calibration data/known \
    --pixels imagenet -o exported/resnet18.onnx
    """
    colours = {name: parse_colours(name, text) for name, text in (("--mean", mean), ("--std", std))}
    from edge_ood.files.output import check_artifact
    from edge_ood.foreign.attach_foreign import attach_foreign
    from edge_ood.foreign.conventions import ForeignClassifier
    from edge_ood.foreign.known_images import KnownFolders

    check_artifact(output, force=force)
    source = ForeignClassifier(
        classifier,
        channels=channels,
        layout=layout,
        pixels=pixels,
        mean=colours["--mean"],
        std=colours["--std"],
        size_px=image_size,
        resize=resize,
        logits=logits,
        features=tuple(features.split(",")) if features else (),
    )
    options = artefact_options(
        scores=scores,
        primary=primary,
        alpha=alpha,
        confidence=confidence,
        per_class=per_class,
        provider=provider,
        epsilon=epsilon,
        precision=precision,
        int8_target=int8_target,
        max_label_flips=max_label_flips,
    )
    attached = attach_foreign(
        source,
        KnownFolders(calibration, training, classes),
        output,
        options,
        on_step=announce_step,
        on_note=print_note,
    )
    report_artefact(output, attached)
