"""How well artefacts tell known images from foreign ones, on sets of both.

Everything is measured on what the artefacts themselves return for the images: scores, their own
decisions and their class probabilities. Nothing is tuned here.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version

from edge_ood.evaluation.corrupted import measure_corruption
from edge_ood.evaluation.measure import group_results, measure_id, measure_ood, true_labels
from edge_ood.evaluation.models import Model
from edge_ood.evaluation.plan import ID_SET, Plan, Task
from edge_ood.evaluation.results import Bootstrap, Evaluation, ModelResult
from edge_ood.evaluation.scored import score
from edge_ood.text import valid_text

__all__ = ["evaluate"]

_NO_BOOTSTRAP = Bootstrap(replicates=0, level=0.95, seed=0)


def evaluate(
    plan: Plan,
    *,
    bootstrap: Bootstrap = _NO_BOOTSTRAP,
    batch_size: int = 8,
    on_image: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Score all sets with every artefact and compare them, for every head.

    Args:
        plan: Artefacts and sets.
        bootstrap: How to make intervals.
        batch_size: Images per inference.
        on_image: Called after each image, to show progress.

    Raises:
        DataError: If a file is no readable image (it is named), or a score is not finite (file and
            head are named).
    """
    models = tuple(_measure(task, plan, batch_size, on_image) for task in plan.tasks)
    return Evaluation(
        version=version("edge-ood"),
        id_folder=plan.id_folder,
        models=models,
        bootstrap=bootstrap,
        recommendation=None,
        allowed_seen=plan.allowed_seen,
    )


def _measure(task: Task, plan: Plan, batch_size: int, on_image: Callable[[], None]) -> ModelResult:
    model, scorer = task.model, task.model.scorer
    inside = score(scorer, plan.known, batch_size=batch_size, on_image=on_image)
    ood = {}
    for name, images in task.ood.items():
        outside = score(scorer, images, batch_size=batch_size, on_image=on_image)
        foreign, seen = plan.ood[name], task.seen_counts(name)
        measured = measure_ood(inside, outside, group=foreign.group, kind=foreign.kind, seen=seen)
        ood[name] = replace(measured, source=valid_text(str(foreign.source)))
    corruptions = tuple(
        measure_corruption(
            corrupted, scorer, plan.known, inside, batch_size=batch_size, on_image=on_image
        )
        for corrupted in plan.corrupted
    )
    labels = true_labels(plan.known, scorer.metadata.classes)
    return ModelResult(
        name=model.name,
        path=model.path,
        sha256=model.sha256,
        n_bytes=model.n_bytes,
        precision=scorer.metadata.precision,
        heads=tuple(scorer.heads),
        primary=scorer.metadata.primary,
        alpha=_promised_rate(model),
        objective=str(model.objective),
        id=measure_id(inside, labels, model.thresholds, seen=task.seen_counts(ID_SET)),
        ood=ood,
        groups=group_results(ood),
        corruptions=corruptions,
    )


def _promised_rate(model: Model) -> float:
    calibration = model.scorer.metadata.calibration
    is_own = model.scorer.metadata.primary in calibration.own_thresholds
    return math.nan if is_own else calibration.alpha
