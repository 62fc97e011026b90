"""`edge_ood.explain`: why an image was flagged, in words and on one page, without torch."""

import os
from pathlib import Path
from typing import Any

from edge_ood.api.plain import PathLike, path_or_none
from edge_ood.errors import UsageError
from edge_ood.files.output import check_output, check_page_name
from edge_ood.onnx_session import check_model_file
from edge_ood.report.explanation_page import explanation_page
from edge_ood.report.page import environment, write_page
from edge_ood.runtime.explain import explain_image
from edge_ood.runtime.explanation import Explanation
from edge_ood.runtime.scorer import Scorer

__all__ = ["explain"]


def explain(
    artifact: PathLike,
    image: Any,
    *,
    output: PathLike | None = None,
    provider: str = "auto",
    force: bool = False,
) -> Explanation:
    """Say why an artefact flagged an image or accepted it.

    It takes two runs of the artefact and 65 of what its decision needs, or fewer where the network
    sees less than 8 x 8 pixels.

    Args:
        artifact: The artefact, calibrated.
        image: A path, a Pillow image, an array (H, W, 3) or a tensor in memory; one.
        output: A page to write, `FILE.html`; none if None.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        force: Replace what is at `output`.

    Returns:
        All scores with p-values and thresholds, the nearest classes, and which parts of the image
        the decision comes from.

    Raises:
        ArtifactError: If the file is no artefact, damaged, or was never calibrated.
        DataError: If the image is missing, a folder, or no readable image.
        InputError: If it is neither path nor picture, or `output` exists or is no page.
        MissingDependencyError: If no onnxruntime is installed, or Jinja2 for a page.
        UsageError: If `output` is the artefact or the image.
    """
    source, target = Path(artifact), path_or_none(output)
    if target is not None:
        environment()
        check_page_name(target)
        _check_no_input(target, source, image)
        check_output(target, force=force)
    check_model_file(source)
    found = explain_image(Scorer(source, provider=provider), image)
    if target is not None:
        write_page(target, explanation_page(found))
    return found


def _check_no_input(target: Path, artifact: Path, image: Any) -> None:
    """Refuse a page in place of what is explained, or of what explains it."""
    inputs = [artifact, image] if isinstance(image, str | os.PathLike) else [artifact]
    if os.path.realpath(target) in map(os.path.realpath, inputs):
        raise UsageError(
            f"the page '{target}' is to replace what it explains", hint="choose another name for it"
        )
