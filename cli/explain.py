"""`edge-ood explain`: why one image was flagged or accepted, without torch."""

from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ArtifactArgument, ForceOption, ProviderOption
from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_output

__all__ = ["explain"]


def explain(
    artifact: ArtifactArgument,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="One image file.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A page to write, FILE.html: the image, what the network saw of it, and which "
            "parts make it suspicious.",
        ),
    ] = None,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
) -> None:
    """Say why one image was flagged or accepted.

    Shows every score with its p-value, which scores disagree, the nearest classes, and which part
    of the image raises the score most: each of 64 patches is covered, and the image scored again.

    Example: edge-ood explain exported/oe.onnx images/odd.jpg -o odd.html
    """
    from edge_ood.api.explain import explain as explain_image

    expect_standard_output()
    found = explain_image(artifact, image, output=output, provider=provider, force=force)
    say(str(found))
    if output is not None:
        say(f"the page is '{output}'", err=True)
