"""The tables of an evaluation's page; artefacts, sets and heads are named as in the document."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from edge_ood.report.evaluation_cells import Cells, Path, metric_path
from edge_ood.report.evaluation_drawings import shown_heads

__all__ = ["Table", "tables"]


class Table(NamedTuple):
    """What the macro `data_table` takes."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    groups: Mapping[int, str] = {}


class _Column(NamedTuple):
    metric: str
    title: str
    best: Callable[[Sequence[float]], float] | None


_PAIR = (
    _Column("auroc", "AUROC", max),
    _Column("aupr_in", "AUPR-In", max),
    _Column("aupr_out", "AUPR-Out", max),
    _Column("fpr95_id_positive", "FPR95 ID-positive", min),
    _Column("fpr95_ood_positive", "FPR95 OOD-positive", min),
    _Column("detection_error", "detection error", min),
    # Not marked: whoever flags most of everything would win.
    _Column("flagged", "flagged", None),
)
_BRIEF = tuple(c for c in _PAIR if c.metric in ("auroc", "fpr95_id_positive", "flagged"))
_WRONG = ("auroc", "aupr_wrong", "aupr_right")
_PREDICTED_CLASS = (
    ("predicted as it", "count", "n_predicted"),
    ("flagged of these", "percent", "flagged_predicted"),
)
_CLASS = (
    ("images", "count", "n_true"),
    ("flagged", "percent", "flagged_true"),
    *_PREDICTED_CLASS,
)
_QUALITY = (
    ("n_true", "count"),
    ("n_predicted", "count"),
    ("precision", "percent"),
    ("recall", "percent"),
)
_OF_CORRUPTED = ("accuracy", "mean_max_probability", "expected_calibration_error")
_FULL_SPECTRUM = tuple(c for c in _BRIEF if c.metric != "flagged")
_DIGITS = 3


def tables(cells: Cells) -> dict[str, Callable[..., Table]]:
    """The tables by name, for a template."""
    found = (
        *(_artifacts, _operating_points, _rivals, _pair, _on_id, _classes, _confidence),
        *(_qualities, _confusion, _shifted, _full_spectrum, _corrupted),
    )
    return {make.__name__.removeprefix("_"): partial(make, cells) for make in found}


def _artifacts(cells: Cells) -> Table:
    """Each artefact with its primary and its best head, side by side."""
    evaluation = cells.evaluation
    groups = evaluation.models[0].distinct_groups
    groups = tuple(group for group in groups if group != "all") or groups
    columns = [(group, column) for group in groups for column in _BRIEF]
    headings = [cells.heading(f"{group} {column.title}") for group, column in columns]
    rows = [
        [
            cells.artifact(m, head),
            cells.rate(("models", m, "id", "accuracy")),
            cells.accepted(m, head),
            *(cells.metric(("models", m, "groups", g), head, c.metric) for g, c in columns),
        ]
        for m, artifact in enumerate(evaluation.models)
        for head in shown_heads(evaluation, artifact)
    ]
    return Table("Artefacts and heads", ["artefact", "accuracy", "ID accepted", *headings], rows)


def _operating_points(cells: Cells, m: int) -> Table:
    """What the primary head would refuse and catch at each false-alarm rate."""
    artifact, rows = cells.evaluation.models[m], []
    sets = list(artifact.ood)
    for i, _ in enumerate(artifact.operating_points):
        at: Path = ("models", m, "operating_points", i)
        row = [cells.show("whole", (*at, "alpha"))]
        row.append(cells.show("whole", (*at, "refused", artifact.primary)))
        row += [cells.show("whole", (*at, "caught", name, artifact.primary)) for name in sets]
        rows.append(row)
    names = [cells.show("name", "models", m, "ood", name) for name in sets]
    headings = ["p-value at most", "ID refused", *(cells.below(name, "caught") for name in names)]
    return Table("Where else the line could be drawn", headings, rows)


def _rivals(cells: Cells) -> Table:
    """How far every other head is behind the recommended one."""
    best, rows = cells.evaluation.recommendation, []
    for i, _ in enumerate(best.rivals if best else ()):
        at: Path = ("recommendation", "rivals", i)
        name = cells.show("text", at, "head")
        if len(cells.evaluation.models) > 1:
            name = cells.below(cells.show("text", at, "model"), name)
        rows.append([name, cells.rate((*at, "difference"), (*at, "interval"))])
    return Table("Behind the recommended head", ("head", "mean AUROC, difference"), rows)


def _pair(
    cells: Cells, m: int, place: str, name: str, heads: Collection[str] | None = None
) -> Table:
    """All heads, or some, on an OOD set (`place` is `ood`) or on a group (`groups`)."""
    at: Path = ("models", m, place, name)
    best = {column.metric: _best(cells, at, column) for column in _PAIR}
    rows = [
        [
            cells.head(m, head),
            *(cells.metric(at, head, c.metric, is_best=head in best[c.metric]) for c in _PAIR),
        ]
        for head in cells.evaluation.models[m].ranked_heads
        if heads is None or head in heads
    ]
    who = "All heads" if heads is None else "What decides, and the best"
    caption = f"{who} on {name}" if place == "ood" else f"{who}, mean of group {name}"
    return Table(caption, ("head", *(cells.heading(column.title) for column in _PAIR)), rows)


def _best(cells: Cells, at: Path, column: _Column) -> set[str]:
    """The heads with the best value of a column; none where all are alike or undefined."""
    heads = cells.evaluation.models[int(at[1])].heads
    paths = {head: metric_path(at, head, column.metric) for head in heads}
    defined = {head: path for head, path in paths.items() if cells.show.has(path)}
    # As they are shown: what reads alike is alike.
    values = {head: round(cells.show.value(path), _DIGITS) for head, path in defined.items()}
    if column.best is None or len(set(values.values())) < 2:
        return set()
    best = column.best(list(values.values()))
    return {head for head, value in values.items() if value == best}


def _on_id(cells: Cells, m: int) -> Table:
    """All heads on the ID images; what needs labels is left out without them."""
    on_id, rows = cells.evaluation.models[m].id, []
    headings = ["head", "accepted", "promised"]
    if on_id.is_labelled:
        headings += ["accuracy of accepted", "wrong vs right AUROC"]
        headings += ["AUPR, wrong positive", "AUPR, right positive"]
    for head in cells.evaluation.models[m].ranked_heads:
        at: Path = ("models", m, "id", "heads", head)
        row = [cells.head(m, head), cells.rate((*at, "realised_tpr")), cells.promised(m)]
        if on_id.is_labelled:
            row.append(cells.rate((*at, "accepted_accuracy")))
            row += [
                cells.rate((*at, "misclassification", metric), (*at, "intervals", metric))
                for metric in _WRONG
            ]
        rows.append(row)
    return Table("All heads on the ID images", [cells.heading(h) for h in headings], rows)


def _classes(cells: Cells, m: int, head: str) -> Table:
    """False alarms of one head by class."""
    on_id, rows = cells.evaluation.models[m].id, []
    columns = _CLASS if on_id.is_labelled else _PREDICTED_CLASS
    for c, _ in enumerate(on_id.heads[head].classes):
        at: Path = ("models", m, "id", "heads", head, "classes", c)
        numbers = (cells.show(kind, at, field) for _, kind, field in columns)
        rows.append([cells.show("text", at, "name"), *numbers])
    headings = ("class", *(title for title, _, _ in columns))
    return Table(f"False alarms of {head} by class", headings, rows)


def _qualities(cells: Cells, m: int) -> Table:
    """Precision and recall of each class."""
    at: Path = ("models", m, "id", "classes")
    rows = [
        [cells.show("text", at, c, "name"), *(cells.show(kind, at, c, of) for of, kind in _QUALITY)]
        for c, _ in enumerate(cells.evaluation.models[m].id.classes)
    ]
    headings = ("class", "images", "predicted as it", "precision", "recall")
    return Table("Precision and recall by class", headings, rows)


def _confusion(cells: Cells, m: int) -> Table:
    """Images by true class (row) and predicted class (column)."""
    on_id = cells.evaluation.models[m].id
    at: Path = ("models", m, "id")
    names = [cells.show("text", at, "classes", c, "name") for c, _ in enumerate(on_id.confusion)]
    rows = [
        [name, *(cells.show("count", at, "confusion", c, k) for k, _ in enumerate(names))]
        for c, name in enumerate(names)
    ]
    return Table("Images of a class (row) by what they are predicted as", ("", *names), rows)


def _confidence(cells: Cells, m: int) -> Table:
    """Mean probability of the predicted class by set, ID first."""
    at: Path = ("models", m, "id")
    probability = cells.rate((*at, "mean_max_probability"))
    rows: list[Sequence[str]] = [("ID", cells.show("count", at, "n"), probability)]
    artifact = cells.evaluation.models[m]
    sets = [("shifted", name) for name in artifact.shifted]
    for place, name in [*sets, *(("ood", name) for name in artifact.ood)]:
        at = ("models", m, place, name)
        probability = cells.rate((*at, "mean_max_probability"))
        rows.append((cells.show("name", at), cells.show("count", at, "n"), probability))
    return Table("Probability of the predicted class", ("set", "images", "mean probability"), rows)


def _shifted(cells: Cells, m: int, name: str) -> Table:
    """All heads on a shifted set; what needs labels is left out without them."""
    result, rows = cells.evaluation.models[m].shifted[name], []
    headings = ["head", "flagged", "flagged of ID", "promised of ID"]
    headings += ["accuracy of accepted"] if result.is_labelled else []
    for head in result.heads:
        at: Path = ("models", m, "shifted", name, "heads", head)
        accepted = ("models", m, "id", "heads", head, "realised_tpr")
        row = [cells.head(m, head), cells.rate((*at, "flagged"))]
        row += [cells.show("complement", accepted), cells.show("percent", "models", m, "alpha")]
        row += [cells.rate((*at, "accepted_accuracy"))] if result.is_labelled else []
        rows.append(row)
    return Table(f"All heads on {name}", [cells.heading(h) for h in headings], rows)


def _full_spectrum(cells: Cells, m: int, name: str) -> Table:
    """Each OOD set against ID and shifted images together, and against ID images alone."""
    artifact = cells.evaluation.models[m]
    rows: list[Sequence[str]] = []
    groups: dict[int, str] = {}
    headings = ["head"]
    for column in _FULL_SPECTRUM:
        headings += [cells.heading(column.title), cells.below(column.title, "of ID alone")]
    for ood in artifact.shifted[name].full_spectrum:
        groups[len(rows)] = cells.show("name", "models", m, "shifted", name, "full_spectrum", ood)
        both: Path = ("models", m, "shifted", name, "full_spectrum", ood)
        alone: Path = ("models", m, "ood", ood)
        for head in artifact.heads:
            row = [cells.head(m, head)]
            row += [
                cells.metric(at, head, c.metric) for c in _FULL_SPECTRUM for at in (both, alone)
            ]
            rows.append(row)
    caption = f"Full spectrum: OOD against ID and {name} together"
    return Table(caption, headings, rows, groups)


def _corrupted(cells: Cells, m: int, c: int) -> Table:
    """One corruption by strength: the classifier, and what the heads shown first flag."""
    artifact, rows = cells.evaluation.models[m], []
    heads = shown_heads(cells.evaluation, artifact)
    for s, _ in enumerate(artifact.corruptions[c].strengths):
        at: Path = ("models", m, "corruptions", c, "strengths", s)
        row = [cells.show("count", at, "strength")]
        row += [cells.show("percent", at, metric) for metric in _OF_CORRUPTED]
        row += [cells.show("percent", at, what, h) for h in heads for what in ("flagged", "auroc")]
        rows.append(row)
    headings = ["strength", "accuracy", "mean probability", "ECE"]
    headings += [f"{what} {head}" for head in heads for what in ("flagged by", "AUROC of")]
    return Table(artifact.corruptions[c].name, headings, rows)
