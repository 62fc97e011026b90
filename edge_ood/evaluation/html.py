"""An evaluation as tables of HTML, such as notebooks show: of each set, what each head makes."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_ood.evaluation.rates import percent, percent_range
from edge_ood.evaluation.values import Interval
from edge_ood.files.html_table import html_lines, html_table

if TYPE_CHECKING:
    from edge_ood.evaluation.evaluation import Evaluation
    from edge_ood.evaluation.results import ArtifactResult

__all__ = ["evaluation_html"]

_COLUMNS = {"auroc": "AUROC", "fpr95_id_positive": "FPR95 ID-pos.", "flagged": "flagged"}
_HEADINGS = ("set", "images", "head", *_COLUMNS.values())

_Rates = tuple[Mapping[str, float], Mapping[str, Interval]]
"""Of one head on one set: rates and their intervals, by name."""


def evaluation_html(evaluation: "Evaluation") -> str:
    """A table of each artefact, and what is recommended; the rows of primary heads are bold."""
    tables = "".join(_table(model) for model in evaluation.models)
    found = evaluation.recommendation
    advice = html_lines([" ".join(found.sentences)]) if found else ""
    return f"<div>{tables}{advice}</div>"


def _table(model: "ArtifactResult") -> str:
    rows: list[tuple[str, ...]] = []
    marked = []
    for name, count, by_head in _sets(model):
        for place, head in enumerate(h for h in model.ranked_heads if h in by_head):
            rates, intervals = by_head[head]
            is_first = not place
            is_primary = head == model.primary
            marked += [len(rows)] * is_primary
            about = (name, count) if is_first else ("", "")
            cells = (_cell(rates.get(key), intervals.get(key)) for key in _COLUMNS)
            rows.append((*about, f"{head} *" if is_primary else head, *cells))
    notes = (
        "Rates in %, with their intervals of confidence where there are any; * marks the primary "
        "head. Of ID and shifted images few should be flagged, of OOD images many.",
    )
    return html_table(_HEADINGS, rows, left=3, marked=marked, title=model.name, notes=notes)


def _sets(model: "ArtifactResult") -> Iterator[tuple[str, str, Mapping[str, _Rates]]]:
    """Name, number of images, and the rates of each head: ID, OOD, means, shifted."""
    yield "ID", str(model.id.n), {head: _on_id(model, head) for head in model.heads}
    for name, ood in model.ood.items():
        found = {h: asdict(ood.metrics[h]) | {"flagged": ood.flagged[h]} for h in model.heads}
        yield name, str(ood.n), _with(found, ood.intervals)
    for name in model.mean_groups:
        group = model.groups[name]
        means = {head: asdict(group.metrics[head]) for head in model.heads}
        yield f"mean of {name}, {len(group.sets)} sets", "", _with(means, group.intervals)
    for name, shifted in model.shifted.items():
        on_shifted = {h: ({"flagged": r.flagged}, r.intervals) for h, r in shifted.heads.items()}
        yield f"{name}, shifted", str(shifted.n), on_shifted


def _on_id(model: "ArtifactResult", head: str) -> _Rates:
    """What is flagged is what is not accepted."""
    on_id = model.id.heads[head]
    accepted = on_id.intervals.get("realised_tpr")
    flagged = {"flagged": 1 - on_id.realised_tpr}
    if accepted is None:
        return flagged, {}
    return flagged, {"flagged": Interval(1 - accepted.high, 1 - accepted.low)}


def _with(
    rates: Mapping[str, Mapping[str, Any]], intervals: Mapping[str, Mapping[str, Interval]]
) -> dict[str, _Rates]:
    return {head: (found, intervals.get(head, {})) for head, found in rates.items()}


def _cell(rate: float | None, interval: Interval | None) -> str:
    if rate is None:
        return ""
    return percent(rate) if interval is None else f"{percent(rate)} [{percent_range(interval)}]"
