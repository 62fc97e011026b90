"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AlphaOption",
    "Artefact",
    "BatchSizeOption",
    "ForceOption",
    "ProviderOption",
    "ThreadsOption",
    "announce_step",
]

Artefact = Annotated[Path, typer.Argument(metavar="FILE.onnx", help="The artefact.")]
ProviderOption = Annotated[
    str, typer.Option(help="onnxruntime provider: auto, cpu or cuda; never a silent fallback.")
]
BatchSizeOption = Annotated[int, typer.Option(min=1, help="Images per inference.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Processor cores to keep busy; all by default.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
AlphaOption = Annotated[
    float, typer.Option(help="False-alarm rate on known images; 0.05 needs 19 images or more.")
]

_STEPS = {
    "images": "reading which images are there",
    "trace": "tracing the network into ONNX",
    "simplify": "simplifying the network",
    "fit": "fitting statistics on training images, through onnxruntime",
    "tune": "choosing epsilon and layer weights, where they are to be chosen",
    "assemble": "assembling the graph",
    "calibrate": "calibrating thresholds, through the file",
    "verify": "checking parity with the reference",
    "write": "writing",
}


def announce_step(name: str) -> None:
    """Say on stderr what a long command is at."""
    typer.echo(f"{_STEPS.get(name, name)} ...", err=True)
