"""The page about an artefact: a function of the file and of the parity report beside it."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ood.artifact.guarantee_text import guarantee_text
from edge_ood.errors import DataError
from edge_ood.foreign.inferred import inferred_from
from edge_ood.images.decoding.image_file import image_payload
from edge_ood.images.reading import content_hash
from edge_ood.parity.extremes import extremes
from edge_ood.report import numbers
from edge_ood.report.export_document import Described, calibration_scores, describe
from edge_ood.report.export_figures import (
    class_scores_figure,
    epsilon_figure,
    parity_figure,
    score_figure,
    shares_figure,
)
from edge_ood.report.fields import Fields
from edge_ood.report.figure import svg
from edge_ood.report.page import render
from edge_ood.report.thumbnails import Thumb, thumbnail, thumbnail_of
from edge_ood.scores import BoundHead, heads_where

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["export_page"]

_MOST_CLASSES = 30
"""Rows of a figure; a table has them all."""

_MOST_THUMBS = 12


def export_page(path: Path) -> str:
    """The page as HTML.

    Args:
        path: A calibrated artefact.

    Raises:
        ArtifactError: If the file or its parity report is damaged, or it was never calibrated.
        MissingDependencyError: If matplotlib or Jinja2 is not installed.
    """
    described = describe(path)
    document, metadata = described.document, described.metadata
    return render(
        "export.html",
        document=document,
        metadata=metadata,
        show=Fields(document),
        name=shlex.quote(str(path)),
        primary=[score["name"] for score in document["scores"]].index(metadata.primary),
        guarantees=[_sentence(line) for line in guarantee_text(metadata).splitlines()],
        exact=_exact(document),
        thumbs=list(_thumbs(document, metadata.preprocess.resized_px)),
        origin=list(_origin(described)),
        tempered=[h.name for h in metadata.heads if h.name in heads_where(_is_probability)],
        inferred=[astuple(row) for row in inferred_from(metadata.provenance)],
        figures=dict(_figures(described)),
        score_figures=list(_score_figures(described)),
    )


def _is_probability(head: BoundHead) -> bool:
    return head.head.is_probability


def _sentence(line: str) -> str:
    return line[:1].upper() + line[1:] + "." * (not line.endswith("."))


def _exact(document: Mapping[str, Any]) -> list[str]:
    """Outputs that must be right to the bit."""
    outputs = [output["output"] for output in (document["parity"] or {"outputs": []})["outputs"]]
    off = {case["output"] for case in document["worst"]}
    return [output for output in outputs if output not in off]


def _origin(described: Described) -> Iterator[tuple[str, str]]:
    """What the metadata say about where the network comes from, and which images had which role."""
    metadata = described.metadata
    for name, value in metadata.provenance.items():
        if name not in ("choices", "inferred", "temperature"):
            yield name.replace("_", " "), _shown(value)
    for role, manifest in metadata.manifests.items():
        yield f"{role} images", numbers.count(manifest.count)
    yield "edge-ood", metadata.version


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items()) or "none"
    if isinstance(value, float):
        return numbers.number(value)
    return str(value)


def _thumbs(document: Mapping[str, Any], size_px: int) -> Iterator[Thumb]:
    """The images that some output is nearest to its limit on."""
    by_image: dict[str, list[str]] = {}
    for case in document["worst"]:
        by_image.setdefault(case["image"], []).append(case["output"])
    images = document["parity"]["images"] if by_image else []
    hashes = {item["image"]: item["content_hash"] for item in images}
    made = extremes(size_px) if by_image else {}
    for image, outputs in list(by_image.items())[:_MOST_THUMBS]:
        digest = hashes.get(image)
        picture = thumbnail_of(made[image]) if not digest and image in made else None
        if digest:
            picture = _file_thumbnail(Path(image), digest)
        yield Thumb(picture, image, (Path(image).name, ", ".join(outputs)))


def _file_thumbnail(path: Path, digest: str) -> str | None:
    """None unless the file still is what was compared: a report may name any file."""
    try:
        with image_payload(path) as payload:
            same = content_hash(payload) == digest
    except DataError:
        return None
    return thumbnail(path) if same else None


def _figures(described: Described) -> "Iterator[tuple[str, Markup]]":
    """By what they show; of a head's choices `epsilon/<head>` and the like."""
    document = described.document
    sizes = {part["name"]: part["size_bytes"] for part in document["parts"]}
    total = sum(sizes.values())
    yield (
        "size",
        svg(
            shares_figure({k: 100 * v / total for k, v in sizes.items()}, "share of the file (%)"),
            name="size",
            title="Where the bytes are",
            description="Share of the file that each part takes",
        ),
    )
    if document["worst"]:
        yield (
            "parity",
            svg(
                parity_figure(document["worst"]),
                name="parity",
                title="Parity: largest error and allowed error by output",
                description="In a row an output: a dot for the error, a tick for what is allowed",
            ),
        )
    for head, choice in document["choices"].items():
        yield from _choice_figures(head, choice)


def _choice_figures(head: str, choice: Mapping[str, Any]) -> "Iterator[tuple[str, Markup]]":
    drawn = {}
    if "epsilon" in choice:
        title = f"Criterion of {head} against epsilon"
        drawn["epsilon"] = (epsilon_figure(choice["epsilon"]), title)
    if "weights" in choice:
        weights = choice["weights"]["by_layer"]
        drawn["weights"] = (shares_figure(weights, "weight"), f"Layer weights of {head}")
    if "rank" in choice:
        shares = {layer: 100 * v for layer, v in choice["rank"]["explained"].items()}
        figure = shares_figure(shares, "variance kept (%)")
        drawn["rank"] = (figure, f"Variance that the rank of {head} keeps")
    for kind, (figure, title) in drawn.items():
        name = f"{kind}/{head}"
        yield name, svg(figure, name=name, title=title, description=title)


def _score_figures(described: Described) -> "Iterator[tuple[Markup, str]]":
    """Calibration scores and thresholds of every score, each with a caption."""
    for score in described.decision.outputs:
        groups = calibration_scores(described, score)
        if not groups:
            continue
        by_class = len(groups) > 1
        figure = (
            class_scores_figure(groups[:_MOST_CLASSES], score)
            if by_class
            else score_figure(groups[0], score)
        )
        title = f"Calibration scores of {score}" + (" by predicted class" if by_class else "")
        description = "Where the scores of ID images lie, and the threshold"
        caption = f"The first {_MOST_CLASSES}." if len(groups) > _MOST_CLASSES else ""
        yield svg(figure, name=f"scores/{score}", title=title, description=description), caption
