"""An evaluation as plain text, at most 100 columns wide for names of usual length."""

import math
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge_ood.evaluation.rates import heads_table, percent, percent_range, rate_rows
from edge_ood.evaluation.side_by_side import side_by_side
from edge_ood.files.plain_table import WIDTH, format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.evaluation.evaluation import Evaluation
    from edge_ood.evaluation.results import (
        ArtifactResult,
        IdResult,
        OodResult,
        ShiftedResult,
    )

__all__ = ["brief_text", "evaluation_text"]

_NOT_LABELLED = (
    "No accuracy: that needs every image below a folder named after one of the artefact's classes."
)
_LEGEND = """\
Rates are percentages; * marks the primary head, whose decision is the artefact's `is_ood`.
Larger is better: TPR, accuracy, AUROC, AUPR, flagged. Smaller is better: FPR95, errors, ECE.
  TPR                 ID images accepted by the artefact's own threshold ({promised} promised)
  flagged             OOD images flagged by that threshold
  AUPR-In, AUPR-Out   average precision with ID, with OOD as the positive class
  FPR95 ID-pos.       OOD accepted at the threshold that accepts 95 % of ID, the positive class
  FPR95 OOD-pos.      ID flagged at the threshold that flags 95 % of OOD, the positive class
  detection error     smallest mean of ID flagged and OOD accepted
  wrong vs right      the score as a detector of wrong predictions on ID images
  ECE, RMS            calibration error of the class probabilities: mean over 15 equal bins, root
                      mean square over bins of 100 images"""
_OF_SHIFTED = """
  SHIFTED: flagged    shifted images flagged by that threshold: smaller is better; the rate that is
                      promised is for ID images"""
_INTERVALS = """
  {level:<18}  interval of confidence, below a rate or in brackets ({replicates} resamples)"""
_METRICS = {
    "auroc": "AUROC",
    "aupr_in": "AUPR-In",
    "aupr_out": "AUPR-Out",
    "fpr95_id_positive": "FPR95\nID-pos.",
    "fpr95_ood_positive": "FPR95\nOOD-pos.",
    "detection_error": "detection\nerror",
    "flagged": "flagged",
}
_ON_ID = {
    "realised_tpr": "TPR",
    "accepted_accuracy": "accuracy\nof accepted",
    "auroc": "wrong vs right\nAUROC",
    "aupr_wrong": "AUPR with\nwrong positive",
    "aupr_right": "AUPR with\nright positive",
}
_CORRUPTED = {
    "accuracy": "CORRUPTED ID images: accuracy",
    "flagged": "CORRUPTED ID images: flagged by {head}",
    "auroc": "CORRUPTED ID images: AUROC of {head} against clean ones",
}
_SHIFTED = {
    "flagged": "flagged",
    "of ID": "flagged\nof ID",
    "promised": "promised\nof ID",
    "accepted_accuracy": "accuracy\nof accepted",
}
_FULL_SPECTRUM = ("auroc", "fpr95_id_positive")
_WIDTH = 100


def evaluation_text(evaluation: "Evaluation") -> str:
    """Tables of every artefact, artefacts side by side, a legend, a recommendation, a verdict.

    For each artefact one block for the ID images and one per OOD set, each with the training
    objective, then means over groups of sets, shifted and corrupted images where there are any;
    rates in percent.
    """
    models = evaluation.models
    blocks = [block for model in models for block in _model_blocks(evaluation, model)]
    if len(models) > 1:
        blocks.append(side_by_side(models, evaluation.bootstrap.level))
    return "\n\n".join([*blocks, _legend(evaluation), brief_text(evaluation)])


def brief_text(evaluation: "Evaluation") -> str:
    """What is recommended, and last of all what each artefact does as it ships."""
    best, several = evaluation.recommendation, len(evaluation.models) > 1
    paragraphs = [] if best is None else [" ".join(best.sentences)]
    paragraphs += [
        f"{printable(model.name) + ': ' if several else ''}{model.verdict}"
        for model in evaluation.models
    ]
    width = int(min(_WIDTH, WIDTH.get()))
    return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in paragraphs)


def _model_blocks(evaluation: "Evaluation", model: "ArtifactResult") -> Iterator[str]:
    level = evaluation.bootstrap.level if evaluation.bootstrap.replicates else math.nan
    if len(evaluation.models) > 1:
        yield f"MODEL {printable(model.name)}: {printable(model.path)}"
    yield _id_block(model, level)
    for name, result in model.ood.items():
        yield _ood_block(model, name, result, level)
    for group in model.mean_groups:
        yield _group_block(model, group, level)
    for name, shifted in model.shifted.items():
        yield _shifted_block(model, name, shifted, level)
        if model.ood:
            yield _full_spectrum_block(model, name, shifted, level)
    if model.corruptions:
        yield _corruptions_block(model)


def _id_block(model: "ArtifactResult", level: float) -> str:
    result = model.id
    rates, intervals = {}, {}
    for head, on_id in result.heads.items():
        found = on_id.misclassification
        own = (on_id.realised_tpr, on_id.accepted_accuracy)
        values = (*own, found.auroc, found.aupr_wrong, found.aupr_right)
        rates[head] = dict(zip(_ON_ID, values, strict=True))
        intervals[head] = on_id.intervals
    lines = [
        f"ID: {_count(result.n)}{_seen(result)}",
        *_objective(model),
        *_quality(model),
        "",
        heads_table(model, _ON_ID, rates, intervals, level),
    ]
    return "\n".join(lines)


def _quality(model: "ArtifactResult") -> list[str]:
    """Accuracy, calibration error and mean probabilities, with intervals where there are any."""
    result = model.id
    probability = f"mean probability of the predicted class {_rate(result, 'mean_max_probability')}"
    if not result.is_labelled:
        return [_NOT_LABELLED, probability]
    n_wrong = next(iter(result.heads.values())).misclassification.n_wrong
    ece = _rate(result, "expected_calibration_error")
    rms = _rate(result, "rms_calibration_error")
    right = percent(result.mean_max_probability_right)
    wrong = percent(result.mean_max_probability_wrong)
    before = _rate(result, "calibration_error_before")
    tempered = [f"temperature {model.temperature:.4g}; at temperature 1 the ECE would be {before}"]
    return [
        f"accuracy {_rate(result, 'accuracy')} ({n_wrong} wrong), ECE {ece}, RMS {rms}",
        *(tempered if model.temperature != 1 else []),
        f"{probability}: right {right} %, wrong {wrong} %",
    ]


def _rate(result: "IdResult | ShiftedResult", name: str) -> str:
    """With its interval in brackets, where it has one."""
    interval = result.intervals.get(name)
    shown = f"{percent(getattr(result, name))} %"
    return shown if interval is None else f"{shown} [{percent_range(interval)}]"


def _ood_block(model: "ArtifactResult", name: str, result: "OodResult", level: float) -> str:
    group = f"{result.group.upper()} " if result.group else ""
    kind = "" if result.kind == "files" else f" ({result.kind})"
    rates = {h: asdict(pair) | {"flagged": result.flagged[h]} for h, pair in result.metrics.items()}
    lines = [
        f"{group}OOD {printable(name)}{kind}: {_count(result.n)} against {model.id.n} of ID"
        f"{_seen(result)}",
        *_objective(model),
        f"mean probability of the predicted class {percent(result.mean_max_probability)} %",
        "",
        heads_table(model, _METRICS, rates, result.intervals, level),
    ]
    return "\n".join(lines)


def _group_block(model: "ArtifactResult", name: str, level: float) -> str:
    group = model.groups[name]
    rates = {head: asdict(found) for head, found in group.metrics.items()}
    title = f"MEAN over {'all' if name == 'all' else f'the {name}'} OOD sets: "
    weighted = "" if len(set(group.weights)) == 1 else "; groups weigh the same"
    return "\n".join(
        [
            title + ", ".join(map(printable, group.sets)) + weighted,
            "",
            heads_table(model, _METRICS, rates, group.intervals, level),
        ]
    )


def _shifted_block(
    model: "ArtifactResult", name: str, result: "ShiftedResult", level: float
) -> str:
    rates = {
        head: {
            "flagged": found.flagged,
            "of ID": 1 - model.id.heads[head].realised_tpr,
            "promised": model.alpha,
            "accepted_accuracy": found.accepted_accuracy,
        }
        for head, found in result.heads.items()
    }
    intervals = {head: found.intervals for head, found in result.heads.items()}
    accuracy = [
        f"accuracy {_rate(result, 'accuracy')}, on ID images {_rate(model.id, 'accuracy')};"
        f" ECE {_rate(result, 'expected_calibration_error')}"
    ]
    lines = [
        f"SHIFTED {printable(name)}: {_count(result.n)} of the classes, none to be flagged"
        f"{_seen(result)}",
        *_objective(model),
        *(accuracy if result.is_labelled else [_NOT_LABELLED]),
        f"mean probability of the predicted class {_rate(result, 'mean_max_probability')}",
        "",
        heads_table(model, _SHIFTED, rates, intervals, level),
    ]
    return "\n".join(lines)


def _full_spectrum_block(
    model: "ArtifactResult", name: str, result: "ShiftedResult", level: float
) -> str:
    headings = [f"{_METRICS[metric]}{end}" for metric in _FULL_SPECTRUM for end in ("", "\nof ID")]
    rows = []
    for ood, found in result.full_spectrum.items():
        for head, pair in found.metrics.items():
            alone = model.ood[ood]
            both = [(pair, found.intervals), (alone.metrics[head], alone.intervals)]
            rows += rate_rows(
                (printable(ood), f"{head} *" if head == model.primary else head),
                [getattr(of, metric) for metric in _FULL_SPECTRUM for of, _ in both],
                [of.get(head, {}).get(metric) for metric in _FULL_SPECTRUM for _, of in both],
                level=level,
            )
    title = f"FULL SPECTRUM: ID and {printable(name)} together, and ID alone, against OOD"
    table = format_table(("OOD set", "head", *headings), rows, left=2)
    return f"{title}\n\n{table}"


def _corruptions_block(model: "ArtifactResult") -> str:
    first = model.corruptions[0].strengths
    rates = ("accuracy", "flagged", "auroc")
    shown = rates if model.id.is_labelled else rates[1:]
    strengths = [str(result.strength) for result in first]
    blocks = []
    for rate in shown:
        rows = []
        for corruption in model.corruptions:
            found = [getattr(result, rate) for result in corruption.strengths]
            of_primary = [v if isinstance(v, float) else v[model.primary] for v in found]
            name = f"{corruption.name}, {_count(corruption.strengths[0].n)}"
            rows.append((name, *map(percent, of_primary)))
        blocks.append(
            f"{_CORRUPTED[rate].format(head=model.primary)}\n\n"
            + format_table(("strength", *strengths), rows)
        )
    return "\n\n".join(blocks)


def _legend(evaluation: "Evaluation") -> str:
    alphas = {model.alpha for model in evaluation.models if not math.isnan(model.alpha)}
    is_own = any(math.isnan(model.alpha) for model in evaluation.models)
    rates = " or ".join(percent(1 - alpha) for alpha in sorted(alphas))
    promised = [f"{rates} %"] * bool(alphas) + ["no rate"] * is_own
    legend = _LEGEND.format(promised=" or ".join(promised))
    if evaluation.models[0].shifted:
        legend += _OF_SHIFTED
    drawn = evaluation.bootstrap
    if not drawn.replicates:
        return legend
    level = f"{100 * drawn.level:.4g} %"
    return legend + _INTERVALS.format(level=level, replicates=drawn.replicates)


def _objective(model: "ArtifactResult") -> list[str]:
    return [f"objective {printable(model.objective)}"] if model.objective else []


def _count(n: int) -> str:
    return "1 image" if n == 1 else f"{n} images"


def _seen(result: "IdResult | OodResult | ShiftedResult") -> str:
    """A remark on images that the artefact was made from, which are no fair test."""
    parts = [
        f"{count} of them were {printable(role)} images" for role, count in result.seen.items()
    ]
    return f" ({', '.join(parts)} of this artefact)" if parts else ""
