"""How well artefacts tell known images from foreign ones, on sets of both.

Everything is measured on what the artefacts themselves return for the images: scores, their own
decisions and their class probabilities. Nothing is tuned here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

from edge_ood.evaluation.corrupted import measure_corruption
from edge_ood.evaluation.intervals import AurocReplicates, with_intervals
from edge_ood.evaluation.measure import group_results, measure_id, measure_ood, true_labels
from edge_ood.evaluation.models import Model
from edge_ood.evaluation.plan import ID_SET, Plan, Task
from edge_ood.evaluation.recommendation import heads_with_gradient, recommend
from edge_ood.evaluation.results import Bootstrap, CorruptionResult, Evaluation, ModelResult
from edge_ood.evaluation.scored import Scored, score
from edge_ood.text import valid_text

__all__ = ["evaluate"]

_NO_BOOTSTRAP = Bootstrap(replicates=0)


@dataclass(frozen=True)
class _Answers:
    """What one artefact says about everything; a few numbers for each image."""

    task: Task
    inside: Scored
    outside: Mapping[str, Scored]
    corruptions: tuple[CorruptionResult, ...]


def evaluate(
    plan: Plan,
    *,
    bootstrap: Bootstrap = _NO_BOOTSTRAP,
    batch_size: int = 8,
    on_image: Callable[[], None] = lambda: None,
    on_scored: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Score all sets with every artefact and compare them, for every head.

    Args:
        plan: Artefacts and sets.
        bootstrap: How to make intervals.
        batch_size: Images per inference.
        on_image: Called after each image, to show progress.
        on_scored: Called when all are scored; measuring takes seconds, the most of it intervals.

    Raises:
        DataError: If a file is no readable image (it is named), or a score is not finite (file and
            head are named).
    """
    answers = [_score(task, plan, batch_size, on_image) for task in plan.tasks]
    on_scored()
    measured = [_measure(of_model, plan, bootstrap) for of_model in answers]
    models = tuple(model for model, _ in measured)
    return Evaluation(
        version=version("edge-ood"),
        id_folder=plan.id_folder,
        models=models,
        bootstrap=bootstrap,
        recommendation=recommend(
            models,
            {model.name: aurocs for model, aurocs in measured} if bootstrap.replicates else {},
            {
                task.model.name: heads_with_gradient(task.model.scorer.metadata)
                for task in plan.tasks
            },
            level=bootstrap.level,
        ),
        allowed_seen=plan.allowed_seen,
    )


def _score(task: Task, plan: Plan, batch_size: int, on_image: Callable[[], None]) -> _Answers:
    scorer = task.model.scorer
    run = partial(score, scorer, batch_size=batch_size, on_image=on_image)
    inside = run(plan.known)
    outside = {name: run(images) for name, images in task.ood.items()}
    corruptions = tuple(
        measure_corruption(
            corrupted, scorer, plan.known, inside, batch_size=batch_size, on_image=on_image
        )
        for corrupted in plan.corrupted
    )
    return _Answers(task, inside, outside, corruptions)


def _measure(
    answers: _Answers, plan: Plan, bootstrap: Bootstrap
) -> tuple[ModelResult, AurocReplicates]:
    task, model, inside = answers.task, answers.task.model, answers.inside
    metadata = model.scorer.metadata
    labels = true_labels(plan.known, metadata.classes)
    ood = {}
    for name, outside in answers.outside.items():
        foreign, seen = plan.ood[name], task.seen_counts(name)
        found = measure_ood(inside, outside, group=foreign.group, kind=foreign.kind, seen=seen)
        ood[name] = replace(found, source=valid_text(str(foreign.source)))
    result = ModelResult(
        name=model.name,
        path=model.path,
        sha256=model.sha256,
        n_bytes=model.n_bytes,
        precision=metadata.precision,
        heads=tuple(model.scorer.heads),
        primary=metadata.primary,
        alpha=_promised_rate(model),
        objective=str(model.objective),
        id=measure_id(inside, labels, model.thresholds, seen=task.seen_counts(ID_SET)),
        ood=ood,
        groups=group_results(ood),
        corruptions=answers.corruptions,
    )
    return with_intervals(result, inside, labels, answers.outside, bootstrap)


def _promised_rate(model: Model) -> float:
    calibration = model.scorer.metadata.calibration
    is_own = model.scorer.metadata.primary in calibration.own_thresholds
    return math.nan if is_own else calibration.alpha
