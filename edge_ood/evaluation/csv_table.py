"""An evaluation as one CSV table: a row per artefact, set of images and head.

Names and order of the columns are a public contract; `model` and `seen` are older than the words
artefact and overlap. A cell is empty where a row has no such value, and where it is undefined.
Rates are fractions in [0, 1].

    model       name of the artefact
    kind        of the row: `id`, the ID images; `files`, `synthetic` or `adversarial`, an OOD set;
                `group`, macro means over OOD sets; `corrupted`, corrupted ID images; `shifted`,
                ID images under other conditions; `full-spectrum`, an OOD set against these and
                the ID images together
    set         name of the OOD or shifted set, the group (`near`, `far` or `all`) or the corruption
    group       `near`, `far` or nothing, of an OOD set
    strength    1 (weak) to 5 (strong), of a corruption
    head        name of the score; what is not a score's own is repeated for each
    is_primary  whether this score decides `is_ood`
    n           images of the set; of a group, its sets
    seen        overlap: how many of them the artefact was made from, by role, such as `training=2`
    auroc, aupr_in, aupr_out, fpr95_id_positive, fpr95_ood_positive, detection_error
                the set against the ID images, of `full-spectrum` against shifted ones too
    flagged     fraction of the set flagged by the artefact's own thresholds
    accuracy    fraction of right predictions on ID, shifted or corrupted images
    mean_max_probability, mean_max_probability_right, mean_max_probability_wrong
                mean probability of the predicted class, over all, right and wrong predictions
    expected_calibration_error, rms_calibration_error
                of that probability, on ID, shifted or corrupted images
    realised_tpr, accepted_accuracy
                fraction of the ID images accepted, and accuracy on these, or on the shifted ones
    misclassification_auroc, misclassification_aupr_right, misclassification_aupr_wrong
                the score as a detector of wrong predictions on ID images
    shifted     name of the shifted set, of `full-spectrum`

Each rate has two more columns behind it, its name with `_low` and `_high`: its interval of
confidence, where it has one.
A name that begins like a spreadsheet formula gets a leading `'`, and control characters stand as
escapes, as in score tables.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_ood.evaluation.results import (
    ArtifactResult,
    IdResult,
    Interval,
    OodResult,
    ShiftedResult,
)
from edge_ood.files.text import printable, without_formula
from edge_ood.metrics.detection import PairMetrics

if TYPE_CHECKING:
    from edge_ood.evaluation.evaluation import Evaluation

__all__ = ["COLUMNS", "csv_table", "table_rows"]

_ABOUT = ("model", "kind", "set", "group", "strength", "head", "is_primary", "n", "seen")
_RATES = (
    *("auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive"),
    *("detection_error", "flagged", "accuracy"),
    *("mean_max_probability", "mean_max_probability_right", "mean_max_probability_wrong"),
    *("expected_calibration_error", "rms_calibration_error"),
    *("realised_tpr", "accepted_accuracy", "misclassification_auroc"),
    *("misclassification_aupr_right", "misclassification_aupr_wrong"),
)

COLUMNS = (
    *_ABOUT,
    *(f"{rate}{end}" for rate in _RATES for end in ("", "_low", "_high")),
    "shifted",
)
"""Names and order, a public contract."""

_OF_ID = tuple(rate for rate in _RATES if rate in IdResult.__dataclass_fields__)
_OF_SHIFTED = tuple(rate for rate in _OF_ID if rate in ShiftedResult.__dataclass_fields__)
_OF_HEAD = ("realised_tpr", "accepted_accuracy")
_MISCLASSIFICATION = ("auroc", "aupr_right", "aupr_wrong")

Cells = dict[str, Any]


def csv_table(evaluation: "Evaluation") -> str:
    """The whole table with its header, one line for each row."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in table_rows(evaluation):
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return table.getvalue()


def table_rows(evaluation: "Evaluation") -> Iterator[Cells]:
    """The rows of the table by column, as Python values; columns without one are left out."""
    for artifact in evaluation.models:
        for row in _rows(artifact):
            about = {"model": artifact.name, "is_primary": row["head"] == artifact.primary}
            found = about | row
            yield {name: found[name] for name in COLUMNS if name in found}


def _rows(artifact: ArtifactResult) -> Iterator[Cells]:
    for head in artifact.heads:
        yield _id_row(artifact.id, head)
    for name, result in artifact.ood.items():
        for head in artifact.heads:
            yield {"set": name, **_ood_row(result, head)}
    for name, group in artifact.groups.items():
        for head in artifact.heads:
            about = {"kind": "group", "set": name, "head": head, "n": len(group.sets)}
            yield about | _rates(asdict(group.metrics[head]), group.intervals.get(head, {}))
    yield from _corrupted_rows(artifact)
    for name, shifted in artifact.shifted.items():
        yield from _shifted_rows(artifact, name, shifted)


def _corrupted_rows(artifact: ArtifactResult) -> Iterator[Cells]:
    for corruption in artifact.corruptions:
        for result in corruption.strengths:
            for head in artifact.heads:
                by_head = {"flagged": result.flagged[head], "auroc": result.auroc[head]}
                about = {"kind": "corrupted", "set": corruption.name, "head": head}
                yield asdict(result) | by_head | about


def _shifted_rows(artifact: ArtifactResult, name: str, result: ShiftedResult) -> Iterator[Cells]:
    for head, on_shifted in result.heads.items():
        yield {
            "kind": "shifted",
            "set": name,
            "head": head,
            "n": result.n,
            "seen": _overlap(result.seen),
            **_rates({rate: getattr(result, rate) for rate in _OF_SHIFTED}, result.intervals),
            **_rates(
                {rate: getattr(on_shifted, rate) for rate in ("flagged", "accepted_accuracy")},
                on_shifted.intervals,
            ),
        }
    for ood, found in result.full_spectrum.items():
        of_set = artifact.ood[ood]
        about = {"kind": "full-spectrum", "set": ood, "group": of_set.group, "n": of_set.n}
        for head, pair in found.metrics.items():
            rates = _rates(_ranking(pair), found.intervals.get(head, {}))
            yield {**about, "head": head, "shifted": name, **rates}


def _ranking(pair: PairMetrics) -> dict[str, float]:
    """The rates of a pair of sets, without the counts."""
    return {name: rate for name, rate in asdict(pair).items() if name in _RATES}


def _id_row(result: IdResult, head: str) -> Cells:
    on_id = result.heads[head]
    found = _rates(
        {name: getattr(on_id.misclassification, name) for name in _MISCLASSIFICATION},
        on_id.intervals,
    )
    return {
        "kind": "id",
        "head": head,
        "n": result.n,
        "seen": _overlap(result.seen),
        **_rates({name: getattr(result, name) for name in _OF_ID}, result.intervals),
        **_rates({name: getattr(on_id, name) for name in _OF_HEAD}, on_id.intervals),
        **{f"misclassification_{name}": value for name, value in found.items()},
    }


def _ood_row(result: OodResult, head: str) -> Cells:
    rates = _ranking(result.metrics[head]) | {"flagged": result.flagged[head]}
    return {
        "kind": result.kind,
        "group": result.group,
        "head": head,
        "n": result.n,
        "seen": _overlap(result.seen),
        "mean_max_probability": result.mean_max_probability,
        **_rates(rates, result.intervals.get(head, {})),
    }


def _rates(rates: Mapping[str, float], intervals: Mapping[str, Interval]) -> Cells:
    """Rates by name, each with the ends of its interval where it has one."""
    cells: Cells = dict(rates)
    for name in rates:
        if name in intervals:
            cells |= {f"{name}_low": intervals[name].low, f"{name}_high": intervals[name].high}
    return cells


def _overlap(counts: Mapping[str, int]) -> str:
    return " ".join(f"{role}={count}" for role, count in counts.items())


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return without_formula(printable(value)) if isinstance(value, str) else value
