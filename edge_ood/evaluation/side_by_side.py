"""Several artefacts of one evaluation side by side, as plain text."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge_ood.evaluation.rates import rate_rows
from edge_ood.files.plain_table import format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.evaluation.results import ArtifactResult, Interval

    _Rate = tuple[float, Interval | None]

__all__ = ["side_by_side"]

_MEANS = {
    "auroc": "AUROC",
    "fpr95_id_positive": "FPR95\nID-pos.",
    "fpr95_ood_positive": "FPR95\nOOD-pos.",
    "flagged": "flagged",
}
_BYTES_PER_MB = 1e6


def side_by_side(models: "Sequence[ArtifactResult]", level: float) -> str:
    """The artefacts by their primary heads: on the ID set, over all OOD sets, and on each.

    Args:
        models: Two or more, on the same sets.
        level: Confidence of the intervals.
    """
    title = "MODELS side by side, by their primary heads"
    means = _MEANS if models[0].ood else {}
    where = "; AUROC, FPR95 and flagged are means over all OOD sets" if means else ""
    headings = ("model", "head", "MB", "accuracy", "TPR", *means.values())
    rows = [row for model in models for row in _rows(model, list(means), level)]
    tables = [f"{title}{where}\n\n{format_table(headings, rows)}"]
    if len(models[0].ood) > 1:
        table = _by_set(models, list(models[0].ood), _auroc, level)
        tables.append(f"AUROC of each OOD set, by primary heads\n\n{table}")
    shifted = list(models[0].shifted)
    if shifted:
        table = _by_set(models, shifted, _flagged, level)
        tables.append(f"Flagged of each shifted set, by primary heads\n\n{table}")
        table = _by_set(models, shifted, _accuracy, level)
        tables.append(f"Accuracy on each shifted set\n\n{table}")
    return "\n\n".join(tables)


def _rows(model: "ArtifactResult", means: Sequence[str], level: float) -> list[tuple[str, ...]]:
    on_id = model.id.heads[model.primary]
    rates = [model.id.accuracy, on_id.realised_tpr]
    intervals = [model.id.intervals.get("accuracy"), on_id.intervals.get("realised_tpr")]
    if means:
        everything = model.groups["all"]
        found = asdict(everything.metrics[model.primary])
        rates += [found[name] for name in means]
        of_means = everything.intervals.get(model.primary, {})
        intervals += [of_means.get(name) for name in means]
    title = (printable(model.name), model.primary, f"{model.n_bytes / _BYTES_PER_MB:.2f}")
    return rate_rows(title, rates, intervals, level=level)


def _by_set(
    models: "Sequence[ArtifactResult]",
    names: Sequence[str],
    rate_of: "Callable[[ArtifactResult, str], _Rate]",
    level: float,
) -> str:
    rows = []
    for name in names:
        found = [rate_of(model, name) for model in models]
        rates, intervals = [rate for rate, _ in found], [interval for _, interval in found]
        rows += rate_rows((printable(name),), rates, intervals, level=level)
    return format_table(("set", *(printable(model.name) for model in models)), rows)


def _auroc(model: "ArtifactResult", name: str) -> "_Rate":
    result, head = model.ood[name], model.primary
    return result.metrics[head].auroc, result.intervals.get(head, {}).get("auroc")


def _flagged(model: "ArtifactResult", name: str) -> "_Rate":
    on_shifted = model.shifted[name].heads[model.primary]
    return on_shifted.flagged, on_shifted.intervals.get("flagged")


def _accuracy(model: "ArtifactResult", name: str) -> "_Rate":
    result = model.shifted[name]
    return result.accuracy, result.intervals.get("accuracy")
