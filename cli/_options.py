"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.attachment.request import Options

__all__ = [
    "AlphaOption",
    "Artefact",
    "BatchSizeOption",
    "ConfidenceOption",
    "EpsilonOption",
    "ForceOption",
    "Int8TargetOption",
    "MaxLabelFlipsOption",
    "PerClassOption",
    "PrecisionOption",
    "PrimaryOption",
    "ProviderOption",
    "ScoresOption",
    "ThreadsOption",
    "announce_step",
    "artefact_options",
    "parse_colours",
    "print_note",
]

Artefact = Annotated[Path, typer.Argument(metavar="FILE.onnx", help="The artefact.")]
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
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
AlphaOption = Annotated[
    float, typer.Option(help="False-alarm rate on known images; 0.05 needs 19 images or more.")
]
ScoresOption = Annotated[
    str | None,
    typer.Option(
        help="Heads with parameters, and 'combined' for one decision over all of them; every "
        "closed-form head that fits by default."
    ),
]
PrimaryOption = Annotated[
    str, typer.Option(help="The head behind the outputs 'is_ood' and 'pvalue'.")
]
EpsilonOption = Annotated[
    str,
    typer.Option(
        help="Step of heads that perturb: declared, or chosen on training images by auto, "
        "outliers, fgsm or id-only."
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        help="What the network computes in: fp32, fp16 or int8; scores and decisions stay fp32."
    ),
]
Int8TargetOption = Annotated[
    str | None,
    typer.Option(
        help="Processor of the device: vnni (x86 that has it; default), avx2 (older x86: weights "
        "in 7 bits, as sums would overflow) or arm."
    ),
]
MaxLabelFlipsOption = Annotated[
    float | None,
    typer.Option(
        metavar="RATE", help="Fail if fp16 or int8 changes the label of more images than this."
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
ConfidenceOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Hold the rate for this share of calibration sets, such as 0.95, and not just on "
        "average over them; --alpha 0.05 then needs 59 images. 0 is on average.",
    ),
]

_STEPS = {
    "read": "reading the classifier",
    "images": "reading which images are there",
    "try": "trying the classifier on some of them",
    "trace": "tracing the network into ONNX",
    "simplify": "simplifying the network",
    "convert": "converting the network, with training images where int8 needs ranges",
    "fit": "fitting statistics on training images, through onnxruntime",
    "tune": "choosing epsilon and layer weights, where they are to be chosen",
    "assemble": "assembling the graph",
    "calibrate": "calibrating thresholds, through the file",
    "verify": "checking parity with the reference",
    "compare": "comparing with the same file in fp32, which is made and forgotten",
    "write": "writing",
}


def announce_step(name: str) -> None:
    """Say on stderr what a long command is at."""
    typer.echo(f"{_STEPS.get(name, name)} ...", err=True)


def print_note(note: str) -> None:
    """Say on stderr what the user should know."""
    typer.echo(f"note: {printable(note)}", err=True)


def artefact_options(
    *,
    scores: str | None,
    alpha: float,
    confidence: float | None,
    per_class: bool | None,
    **chosen: Any,
) -> "Options":
    """What the user chose about an artefact, for every command that makes one."""
    from edge_ood.attachment.request import Options, without_combined
    from edge_ood.calibration.guarantee import Guarantee
    from edge_ood.registry import parse_specs

    heads, combined = without_combined(parse_specs(scores) if scores else ())
    guarantee = Guarantee(alpha, confidence or 0.0, per_class or False, combined)
    return Options(heads=heads, guarantee=guarantee, **chosen)


def parse_colours(option: str, text: str | None) -> tuple[float, float, float] | None:
    """One number for each of red, green and blue, or one for all."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
        red, green, blue = numbers * 3 if len(numbers) == 1 else numbers
    except ValueError as error:
        raise typer.BadParameter(
            f"{option} is {text!r}, expected three numbers such as 0.485,0.456,0.406"
        ) from error
    return red, green, blue
