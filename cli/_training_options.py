"""The options of `edge-ood train` that say how it learns."""

from typing import Annotated

import typer

from edge_ood.cli._bundles import bundle

__all__ = ["Optimisation", "Targets"]


@bundle("Optimisation")
class Optimisation:
    """The steps."""

    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Training images per step; default: 128.")
    ] = None
    outlier_batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Outliers or unlabelled images per step; default: 256."),
    ] = None
    outlier_sampling: Annotated[
        str | None,
        typer.Option(
            metavar="random|diverse",
            help="diverse takes, of 6 candidates for each outlier, those that look most like "
            "DATA, one of each cluster; default: random.",
        ),
    ] = None
    shuffled_share: Annotated[
        float | None,
        typer.Option(
            help="Share of an image's pixels that --outliers self shuffles; default: 0.15."
        ),
    ] = None
    optimizer: Annotated[str | None, typer.Option(metavar="sgd|adamw", help="Default: sgd.")] = None
    lr: Annotated[
        float | None,
        typer.Option(help="The largest learning rate; default: 0.1, of adamw 0.001."),
    ] = None
    head_lr: Annotated[
        float | None,
        typer.Option(help="Learning rate of the last layer, as a multiple of --lr; default: 1."),
    ] = None
    final_lr: Annotated[
        float | None, typer.Option(help="Where its cosine ends; default: 1e-6.")
    ] = None
    warmup: Annotated[
        float | None,
        typer.Option(
            metavar="EPOCHS", help="Epochs in which the rate rises to --lr, as 0.5; default: 0."
        ),
    ] = None
    schedule: Annotated[
        str | None,
        typer.Option(
            metavar="cosine|constant|step",
            help="What the rate does then; step divides it by ten at half and at three quarters "
            "of the run; default: cosine.",
        ),
    ] = None
    momentum: Annotated[float | None, typer.Option(help="Nesterov's, of sgd; default: 0.9.")] = None
    weight_decay: Annotated[
        float | None, typer.Option(help="L2, of all weights; default: 5e-4, of adamw 0.01.")
    ] = None
    clip_norm: Annotated[
        float | None,
        typer.Option(help="Shorten a step's gradient to this L2 norm; default: as it is."),
    ] = None
    average: Annotated[
        str | None,
        typer.Option(
            metavar="ema|none",
            help="ema validates and saves a moving average of the weights; default: none.",
        ),
    ] = None
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="best|last",
            help="Weights of the best epoch by validation accuracy, or of the last; default: last.",
        ),
    ] = None
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="EPOCHS",
            help="End after so many epochs without a higher validation accuracy; default: never.",
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Decides every random draw.")] = 0


@bundle("Targets")
class Targets:
    """What the network is told of an image."""

    label_smoothing: Annotated[
        float | None,
        typer.Option(
            help="Share of each target that all classes have in equal parts, as 0.1; it often "
            "ruins scores that read logits; default: 0."
        ),
    ] = None
    mixup: Annotated[
        float | None,
        typer.Option(
            metavar="ALPHA",
            help="Mix images in pairs, in shares of Beta(ALPHA, ALPHA), as 0.2; default: 0.",
        ),
    ] = None
    balance: Annotated[
        str | None,
        typer.Option(
            metavar="loss|sampling|none",
            help="For classes of unequal size: loss lets images of small ones count more, sampling "
            "draws each equally often; default: none.",
        ),
    ] = None
