"""Options that several commands share: single ones, and bundles under a heading of the help."""

from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._bundles import bundle
from edge_ood.cli._say import say
from edge_ood.files.text import printable
from edge_ood.scores import DEFAULT_COMBINED, DEFAULT_HEADS, DEFAULT_PRIMARY

__all__ = [
    "ArtifactArgument",
    "BatchSizeOption",
    "Conversion",
    "CropOption",
    "Decision",
    "EpsilonOption",
    "ForceOption",
    "InterpolationOption",
    "Preprocessing",
    "ProviderOption",
    "ThreadsOption",
    "TrustOption",
    "announce_step",
    "print_note",
]

ArtifactArgument = Annotated[Path, typer.Argument(metavar="FILE.onnx", help="The artefact.")]
ProviderOption = Annotated[
    str,
    typer.Option(
        help="onnxruntime provider: auto, cpu, cuda, tensorrt or openvino; never a silent fallback."
    ),
]
BatchSizeOption = Annotated[int, typer.Option(min=1, help="Images per inference.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Processor cores to keep busy; all by default.")
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run code that RUN names: it is yours. Otherwise a network of your own, "
        "package.module:function, runs only when --model names it again.",
    ),
]
CropOption = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of the resized side that it sees, in the centre: short side to 256, central "
        "224 is 0.875; 1, the whole square, where nothing else is known.",
    ),
]
InterpolationOption = Annotated[
    str | None,
    typer.Option(
        help="How images are resized: bilinear or bicubic, antialiased as Pillow does it; bilinear "
        "where nothing else is known."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
ConfidenceOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Hold the rate for this share of calibration sets, such as 0.95, and not just on "
        "average over them; --alpha 0.05 then needs 59 images. 0 is on average.",
    ),
]
PerClassOption = Annotated[
    bool | None,
    typer.Option(
        "--per-class/--all-classes",
        help="Hold the rate within each predicted class, with thresholds of its own for those that "
        "19 calibration images (at 0.05) were predicted as; the others share one.",
    ),
]
TemperatureOption = Annotated[
    str,
    typer.Option(
        metavar="auto|NUMBER",
        help="Temperature of the class probabilities, and so of msp: a number, or chosen on "
        "labelled images that trained nothing and set no threshold, where there are any; else 1.",
    ),
]
EpsilonOption = Annotated[
    str,
    typer.Option(
        help="Step of heads that perturb: declared, or chosen on training images by auto, "
        "outliers, fgsm or id-only."
    ),
]


@bundle("Scores and decision")
class Decision:
    """What an artefact computes and decides by."""

    scores: Annotated[
        str | None,
        typer.Option(
            help="Heads with parameters, and 'combined' for one decision over all of them, or "
            "over some: combined:of=gen+knn. By default those of "
            f"{', '.join(DEFAULT_HEADS)} that the network has inputs for."
        ),
    ] = None
    primary: Annotated[
        str | None,
        typer.Option(
            help="The score behind the outputs 'is_ood' and 'pvalue'; by default, where no scores "
            f"are chosen, combined of {'+'.join(DEFAULT_COMBINED)}, or {DEFAULT_PRIMARY} where "
            "that is all there is. auto takes another where the training side, with its outliers, "
            "is clearly for it."
        ),
    ] = None
    alpha: Annotated[
        float, typer.Option(help="False-alarm rate on ID images; 0.05 needs 19 images or more.")
    ] = 0.05
    confidence: ConfidenceOption = None
    per_class: PerClassOption = None
    temperature: TemperatureOption = "auto"
    epsilon: EpsilonOption = "declared"


@bundle("Conversion")
class Conversion:
    """What the network inside computes in."""

    precision: Annotated[
        str,
        typer.Option(
            help="What the network computes in: fp32, fp16 or int8; scores and decisions stay fp32."
        ),
    ] = "fp32"
    int8_target: Annotated[
        str | None,
        typer.Option(
            help="Processor of the device: vnni (x86 that has it; default), avx2 (older x86: "
            "weights in 7 bits, as sums would overflow) or arm."
        ),
    ] = None
    max_label_flips: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Fail if fp16 or int8 changes the label of more images than this.",
        ),
    ] = None


@bundle("Preprocessing")
class Preprocessing:
    """What happens between a decoded image and the network's input."""

    image_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Side of its input, px, where neither the file nor published weights tell."
        ),
    ] = None
    resize: Annotated[str | None, typer.Option(help="center-crop (default) or stretch.")] = None
    crop: CropOption = None
    interpolation: InterpolationOption = None
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Of pixels in [0, 1], in RGB order; published weights know theirs.",
        ),
    ] = None
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Of pixels in [0, 1], in RGB order.")
    ] = None


_STEPS = {
    "read": "reading the classifier",
    "images": "reading which images are there",
    "try": "trying the classifier on some of them",
    "trace": "tracing the network into ONNX",
    "simplify": "simplifying the network",
    "convert": "converting the network, with training images where int8 needs ranges",
    "fit": "fitting statistics on training images, through onnxruntime",
    "tune": "choosing epsilon, layer weights and temperature, where they are to be chosen",
    "choose": "choosing what decides, on training images, outliers and synthetic images",
    "assemble": "assembling the graph",
    "calibrate": "calibrating thresholds, through the file",
    "verify": "checking parity with the reference",
    "compare": "comparing with the same file in fp32, which is made and forgotten",
    "write": "writing",
    "overlap": "checking overlap with images that the artefacts were made from",
    "figures": "drawing figures",
    "page": "drawing the page",
}


def announce_step(name: str) -> None:
    """Say on stderr what a long command is at."""
    say(f"{_STEPS.get(name, name)} ...", err=True)


def print_note(note: str) -> None:
    """Say on stderr what the user should know."""
    say(f"note: {printable(note)}", err=True)
