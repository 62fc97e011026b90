"""`edge-ood evaluate`: an artefact on known and foreign images, as tables or JSON."""

import json
import math
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._options import Artefact, BatchSizeOption, ForceOption, ProviderOption
from edge_ood.cli._table import format_table
from edge_ood.synthetic import KINDS
from edge_ood.text import printable

if TYPE_CHECKING:
    from edge_ood.evaluation.results import IdResult, ModelResult, OodResult

__all__ = ["evaluate", "report"]

_NOT_LABELLED = (
    "No accuracy: that needs every image below a folder named after one of the artefact's classes."
)
_LEGEND = """\
Rates are percentages; * marks the primary head, whose decision is the artefact's `is_ood`.
Larger is better: TPR, accuracy, AUROC, AUPR, flagged. Smaller is better: FPR95, errors, ECE.
  TPR                 ID images accepted by the artefact's own threshold ({promised} promised)
  flagged             OOD images flagged by that threshold
  AUPR-In, AUPR-Out   average precision with ID, with OOD as the positive class
  FPR95 ID-positive   OOD accepted at the threshold that accepts 95 % of ID
  FPR95 OOD-positive  ID flagged at the threshold that flags 95 % of OOD
  detection error     smallest mean of ID flagged and OOD accepted
  wrong vs right      the score as a detector of wrong predictions on ID images
  ECE                 expected calibration error of the class probabilities, 15 equal bins"""


def evaluate(
    artefact: Artefact,
    *,
    id_folder: Annotated[
        Path,
        typer.Option(
            "--id",
            metavar="DIR",
            help="Known images; folders named after the classes also give the accuracy.",
        ),
    ],
    ood: Annotated[
        list[str] | None,
        typer.Option(
            "--ood",
            metavar="[NAME=]DIR|KIND",
            help="Foreign images, or made ones of a kind, such as gaussian or gaussian:count=500 "
            "(a folder of that name is ./gaussian); repeat it for several sets. Kinds: "
            f"{', '.join(KINDS.names())}.",
        ),
    ] = None,
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write JSON; - writes it in place of tables."),
    ] = None,
    batch_size: BatchSizeOption = 8,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
) -> None:
    """Measure how well an artefact tells known from foreign.

    Example: edge-ood evaluate exported/oe.onnx --id data/test --ood data/svhn --ood far=data/dtd
    """
    from edge_ood.evaluation.evaluate import evaluate as evaluate_artefact
    from edge_ood.evaluation.sets import parse_sets
    from edge_ood.images import read_images
    from edge_ood.metrics import UndefinedMetricWarning
    from edge_ood.output import atomic_output, check_output
    from edge_ood.runtime import Scorer

    if json_file not in (None, "-"):
        check_output(Path(json_file), force=force)
    sets = parse_sets(ood or [])
    scorer = Scorer(artefact, provider=provider, threads=1)
    id_images = read_images(id_folder, scorer.metadata.classes)
    ood_images = {ood_set.name: ood_set.images(scorer, id_images) for ood_set in sets}
    total = len(id_images) + sum(map(len, ood_images.values()))
    with (
        warnings.catch_warnings(record=True) as caught,
        typer.progressbar(length=total, label="scoring", show_pos=True, file=sys.stderr) as bar,
    ):
        warnings.simplefilter("always", UndefinedMetricWarning)
        result = evaluate_artefact(
            {artefact.stem: scorer},
            id_images,
            ood_images,
            id_folder=str(id_folder),
            batch_size=batch_size,
            on_image=lambda: bar.update(1),
        )
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        typer.echo(f"warning: {message}", err=True)
    document = json.dumps(result.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    if json_file not in (None, "-"):
        with atomic_output(Path(json_file)) as temporary:
            temporary.write_text(document + "\n", encoding="utf-8")
    typer.echo(document if json_file == "-" else report(result.models[0]))


def report(model: "ModelResult") -> str:
    """What was measured of an artefact, at most 100 columns wide for head names of usual length.

    One block for the ID images, one per OOD set, each with the training objective, and a legend;
    rates in percent.
    """
    blocks = [_id_block(model, model.id)]
    blocks += [_ood_block(model, name, result) for name, result in model.ood.items()]
    is_own = math.isnan(model.alpha)
    promised = "no rate" if is_own else f"{_percent(1 - model.alpha)} %"
    return "\n\n".join([*blocks, _LEGEND.format(promised=promised)])


def _id_block(model: "ModelResult", result: "IdResult") -> str:
    headings = (
        "head",
        "TPR",
        "accuracy\nof accepted",
        "wrong vs right\nAUROC",
        "AUPR with\nwrong positive",
        "AUPR with\nright positive",
    )
    rows = [
        (
            _marked(head, model),
            _percent(on_id.realised_tpr),
            _percent(on_id.accepted_accuracy),
            _percent(on_id.misclassification.auroc),
            _percent(on_id.misclassification.aupr_wrong),
            _percent(on_id.misclassification.aupr_right),
        )
        for head, on_id in result.heads.items()
    ]
    wrong = next(iter(result.heads.values())).misclassification.n_wrong
    quality = (
        f"accuracy {_percent(result.accuracy)} % ({wrong} wrong), "
        f"ECE {_percent(result.expected_calibration_error)} %"
    )
    lines = [
        f"ID: {_count(result.n)}{_seen(result)}",
        *_objective(model),
        quality if result.is_labelled else _NOT_LABELLED,
        f"mean probability of the predicted class {_percent(result.mean_max_probability)} %",
        "",
        format_table(headings, rows),
    ]
    return "\n".join(lines)


def _ood_block(model: "ModelResult", name: str, result: "OodResult") -> str:
    headings = (
        "head",
        "AUROC",
        "AUPR-In",
        "AUPR-Out",
        "FPR95\nID-positive",
        "FPR95\nOOD-positive",
        "detection\nerror",
        "flagged",
    )
    rows = [
        (
            _marked(head, model),
            _percent(pair.auroc),
            _percent(pair.aupr_in),
            _percent(pair.aupr_out),
            _percent(pair.fpr95_id_positive),
            _percent(pair.fpr95_ood_positive),
            _percent(pair.detection_error),
            _percent(result.flagged[head]),
        )
        for head, pair in result.metrics.items()
    ]
    lines = [
        f"OOD {name}: {_count(result.n)} against {model.id.n} of ID{_seen(result)}",
        *_objective(model),
        f"mean probability of the predicted class {_percent(result.mean_max_probability)} %",
        "",
        format_table(headings, rows),
    ]
    return "\n".join(lines)


def _objective(model: "ModelResult") -> list[str]:
    return [f"objective {printable(model.objective)}"] if model.objective else []


def _marked(head: str, model: "ModelResult") -> str:
    return f"{head} *" if head == model.primary else head


def _count(n: int) -> str:
    return "1 image" if n == 1 else f"{n} images"


def _seen(result: "IdResult | OodResult") -> str:
    """A remark on images that the artefact was made from, which are no fair test."""
    parts = [f"{count} of them were {role} images" for role, count in result.seen.items()]
    return f" ({', '.join(parts)} of this artefact)" if parts else ""


def _percent(rate: float) -> str:
    return "n/a" if math.isnan(rate) else f"{100 * rate:.2f}"
