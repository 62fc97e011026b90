"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AlphaOption",
    "Artefact",
    "BatchSizeOption",
    "ConfidenceOption",
    "ForceOption",
    "Int8TargetOption",
    "MaxLabelFlipsOption",
    "PrecisionOption",
    "ProviderOption",
    "ThreadsOption",
    "announce_step",
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
    "images": "reading which images are there",
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
