"""`edge-ood web`: a page that scores pictures in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ArtifactArgument, ForceOption
from edge_ood.cli._say import say

__all__ = ["web"]

_MEGA = 1e6


def web(
    artifact: ArtifactArgument,
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="A folder for the page.")
    ],
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The package onnxruntime-web, as 'npm install' leaves it in node_modules; by "
            "default npm fetches it, once.",
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Make a page that scores pictures in any browser.

    Open DIR/index.html, or put DIR on any web server: everything is in it, nothing is fetched from
    elsewhere, and pictures stay in the browser. WebGPU does the work where it is, else WebAssembly;
    with threads, if the server sends the headers that make a page isolated.

    Example: edge-ood web exported/oe.onnx -o page
    """
    from edge_ood.web.write_page import write_page

    written = write_page(artifact, output, runtime=runtime, force=force)
    say(f"{output / 'index.html'}: {written / _MEGA:.0f} MB; open it, or put the folder anywhere")
