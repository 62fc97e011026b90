"""The page of an evaluation: a function of its document, but for the thumbnails."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.results import ArtifactResult, IdResult, OodResult, ShiftedResult
from edge_ood.evaluation.values import SYNTHETIC
from edge_ood.report.evaluation_cells import Cells
from edge_ood.report.evaluation_cells import Path as Place
from edge_ood.report.evaluation_command import evaluation_command
from edge_ood.report.evaluation_drawings import Drawing, Key, drawings, shown_heads
from edge_ood.report.evaluation_figures import MOST_CLASSES
from edge_ood.report.evaluation_tables import tables
from edge_ood.report.fields import Fields
from edge_ood.report.figure import svg
from edge_ood.report.page import render
from edge_ood.report.thumbnails import Thumb, thumbnail

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["evaluation_page"]

Picture = Callable[[int, str, str], str | None]
"""The data URI of an image: place of the artefact, name of the set (empty for ID), and path."""

_FEW = 200
"""Images below which rates are coarse: near 95 %, 200 of them leave 3 points of doubt."""

_HALF = 0.5
_ORDER = ("near", "far", "")
_FILES = "files"


def evaluation_page(evaluation: Evaluation, picture: Picture | None = None) -> str:
    """The page as HTML.

    Args:
        evaluation: What it shows.
        picture: Makes thumbnails; by default files are read by their paths, and synthetic images
            have no picture.

    Raises:
        MissingDependencyError: If matplotlib or Jinja2 is not installed.
    """
    show = Fields(evaluation.to_json())
    return render(
        "evaluation.html",
        evaluation=evaluation,
        show=show,
        tables=tables(Cells(evaluation, show)),
        figure=partial(_figure, drawings(evaluation)),
        thumbs=_Thumbs(evaluation, show, picture or _file_picture),
        command=evaluation_command(evaluation),
        shown_heads=partial(shown_heads, evaluation),
        in_order=_in_order,
        threshold_ends=_ends,
        most_classes=MOST_CLASSES,
        featured=_featured(evaluation),
        sections=_sections(evaluation),
        remarks=_remarks(evaluation),
    )


def _featured(evaluation: Evaluation) -> int:
    """The place of the artefact that a page is about: the recommended one, or else the first."""
    best = evaluation.recommendation
    names = [artifact.name for artifact in evaluation.models]
    return 0 if best is None else names.index(best.model)


def _sections(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Links to the sections, or of several artefacts to the first one of each: id and text."""
    found = [("heads", "What ships")] if evaluation.recommendation else []
    for m, artifact in enumerate(evaluation.models):
        of_artifact = [(f"groups-{m}", "near and far")] if artifact.groups else []
        of_artifact += [(f"ood-{m}-{i}", name) for i, (name, _) in enumerate(_in_order(artifact))]
        of_artifact += [(f"id-{m}", "ID images"), (f"alarms-{m}", "false alarms")]
        of_artifact += [(f"shifted-{m}", "shifted")] if artifact.shifted else []
        of_artifact += [(f"corrupted-{m}", "corrupted")] if artifact.corruptions else []
        found += [(of_artifact[0][0], artifact.name)] if len(evaluation.models) > 1 else of_artifact
    return [*found, ("glossary", "What the numbers mean"), ("how", "How it was computed")]


@dataclass(frozen=True)
class _Remarks:
    """What a reader has to know before trusting a number.

    Attributes:
        overlap: Where a set is in the document, and a role: it has images that the artefact was
            made from.
        few: Where sets of few images are.
        is_synthetic_only: Whether no OOD set consists of files.
        broken: Places of artefacts whose primary head accepts fewer ID images than promised, beyond
            what chance in the ID images explains.
        blind: Places of artefacts and groups of which the primary head flags less than half.
    """

    overlap: Sequence[tuple[Place, str]]
    few: Sequence[Place]
    is_synthetic_only: bool
    broken: Sequence[int]
    blind: Sequence[tuple[int, str]]


def _remarks(evaluation: Evaluation) -> _Remarks:
    sets = [_sets(m, artifact) for m, artifact in enumerate(evaluation.models)]
    first = evaluation.models[0]
    return _Remarks(
        overlap=[(at, role) for one in sets for at, result in one.items() for role in result.seen],
        few=[at for at, result in sets[0].items() if result.n < _FEW],
        is_synthetic_only=bool(first.ood) and all(r.kind != _FILES for r in first.ood.values()),
        broken=[m for m, artifact in enumerate(evaluation.models) if _is_broken(artifact)],
        blind=[
            (m, group)
            for m, artifact in enumerate(evaluation.models)
            for group in artifact.distinct_groups
            if artifact.groups[group].metrics[artifact.primary].flagged < _HALF
        ],
    )


def _sets(m: int, artifact: ArtifactResult) -> dict[Place, IdResult | OodResult | ShiftedResult]:
    """The sets of an artefact by where they are in the document."""
    return {
        ("models", m, "id"): artifact.id,
        **{("models", m, "shifted", name): result for name, result in artifact.shifted.items()},
        **{("models", m, "ood", name): result for name, result in artifact.ood.items()},
    }


def _is_broken(artifact: ArtifactResult) -> bool:
    """Whether the interval of the accepted ID images ends below what was promised."""
    interval = artifact.id.heads[artifact.primary].intervals.get("realised_tpr")
    # Both sides are False for NaN.
    return interval is not None and interval.high < 1 - artifact.alpha


class _Thumbs:
    """The thumbnails of a page; each file is read once."""

    def __init__(self, evaluation: Evaluation, show: Fields, picture: Picture) -> None:
        self._evaluation, self._show, self._picture = evaluation, show, picture
        self._made: dict[tuple[str | int, ...], str | None] = {}

    def suspicious(self, m: int, head: str) -> list[Thumb]:
        """The ID images with the largest scores of a head."""
        examples = self._evaluation.models[m].id.heads[head].suspicious
        at = ("models", m, "id", "heads", head, "suspicious")
        return [self._thumb("", (*at, i)) for i in range(len(examples))]

    def trusted(self, m: int, name: str, head: str) -> list[Thumb]:
        """The images of an OOD set with the smallest scores of a head."""
        examples = self._evaluation.models[m].ood[name].trusted[head]
        at = ("models", m, "ood", name, "trusted", head)
        return [self._thumb(name, (*at, i)) for i in range(len(examples))]

    def shifted(self, m: int, name: str, head: str) -> list[Thumb]:
        """The images of a shifted set with the largest scores of a head."""
        examples = self._evaluation.models[m].shifted[name].heads[head].suspicious
        at = ("models", m, "shifted", name, "heads", head, "suspicious")
        return [self._thumb(name, (*at, i)) for i in range(len(examples))]

    def _thumb(self, name: str, at: tuple[str | int, ...]) -> Thumb:
        example = self._show.value(at)
        m, path = int(at[1]), example["path"]
        # Synthetic images differ from artefact to artefact, files do not.
        key = (m, name, path) if path.startswith(SYNTHETIC) else (path,)
        if key not in self._made:
            self._made[key] = self._picture(m, name, path)
        labels = self._show("text", at, "label")
        if not example["true_label"]:
            labels = "predicted as " + labels
        elif example["true_label"] != example["label"]:
            labels = self._show("text", at, "true_label") + ", predicted as " + labels
        lines = (
            labels,
            "score " + self._show("number", at, "score"),
            "p " + self._show("pvalue", at, "pvalue"),
            self._show("tail", at, "path"),
        )
        return Thumb(self._made[key], path, lines, is_marked=example["is_ood"])


def _file_picture(_m: int, _name: str, path: str) -> str | None:
    return None if path.startswith(SYNTHETIC) else thumbnail(Path(path))


def _figure(found: dict[Key, Drawing], *key: str) -> "Markup":
    drawing = found[key]
    return svg(
        drawing.draw(),
        name=drawing.name,
        title=drawing.title,
        description=drawing.description,
    )


def _in_order(artifact: ArtifactResult) -> list[tuple[str, OodResult]]:
    """The OOD sets: near ones, far ones, then the others."""
    return sorted(artifact.ood.items(), key=lambda item: _ORDER.index(item[1].group))


def _ends(thresholds: Sequence[float]) -> list[int]:
    """Where the smallest and the largest threshold stand; one place if all are alike."""
    finite = [k for k, value in enumerate(thresholds) if math.isfinite(value)]
    ends = [pick(finite, key=thresholds.__getitem__) for pick in (min, max) if finite]
    return ends if ends and thresholds[ends[0]] < thresholds[ends[1]] else ends[:1]
