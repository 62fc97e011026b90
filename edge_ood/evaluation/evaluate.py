"""How well artefacts tell OOD images from ID images, on sets of both.

Everything is measured on what the artefacts themselves return for the images: scores, their own
decisions and their class probabilities. Nothing is tuned here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

from edge_ood.evaluation.artifacts import OpenArtifact
from edge_ood.evaluation.corrupted import measure_corruption
from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.groups import deciding_groups, group_results
from edge_ood.evaluation.intervals import AurocReplicates, with_intervals
from edge_ood.evaluation.measure import (
    measure_id,
    measure_ood,
    measure_operating_points,
    measure_shifted,
    true_labels,
)
from edge_ood.evaluation.pairs import pair_sentence
from edge_ood.evaluation.plan import ID_SET, Plan, Task
from edge_ood.evaluation.recommendation import heads_with_gradient, recommend
from edge_ood.evaluation.results import ArtifactResult, Bootstrap, CorruptionResult, Recommendation
from edge_ood.evaluation.scored import Scored, score
from edge_ood.evaluation.verdict import verdict
from edge_ood.files.text import valid_text
from edge_ood.images.folders import ImageSet
from edge_ood.images.splits import halves_by_hash

__all__ = ["Answers", "measure_answers", "score_plan"]

_NO_BOOTSTRAP = Bootstrap(replicates=0)


@dataclass(frozen=True)
class Answers:
    """What one artefact says about everything: a few numbers for each image.

    Attributes:
        task: The artefact and its sets.
        inside: Answers for the ID images.
        outside: Answers for the images of each OOD set.
        shifted: Answers for the images of each shifted set.
        corruptions: What it says about corrupted ID images.
    """

    task: Task
    inside: Scored
    outside: Mapping[str, Scored]
    shifted: Mapping[str, Scored]
    corruptions: tuple[CorruptionResult, ...]


def score_plan(
    plan: Plan, *, batch_size: int = 8, on_image: Callable[[], None] = lambda: None
) -> tuple[Answers, ...]:
    """Score all sets with every artefact.

    Args:
        plan: Artefacts and sets.
        batch_size: Images per inference.
        on_image: Called after each of the plan's `n_images`, to show progress.

    Raises:
        DataError: If a file is no readable image (it is named), or a score is not finite (file and
            head are named).
    """
    return tuple(_score(task, plan, batch_size, on_image) for task in plan.tasks)


def measure_answers(
    plan: Plan,
    answers: Sequence[Answers],
    *,
    bootstrap: Bootstrap = _NO_BOOTSTRAP,
    on_set: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Compare artefacts and heads by what they said.

    Args:
        plan: Artefacts and sets.
        answers: As `score_plan` gives them.
        bootstrap: How to make intervals, which takes most of the time.
        on_set: Called after each of the plan's `n_comparisons`, to show progress, if `bootstrap`
            has replicates.
    """
    measured = [_measure(one, plan, bootstrap, on_set) for one in answers]
    results = tuple(result for result, _ in measured)
    recommendation = recommend(
        results,
        {result.name: aurocs for result, aurocs in measured} if bootstrap.replicates else {},
        {t.artifact.name: heads_with_gradient(t.artifact.scorer.metadata) for t in plan.tasks},
        level=bootstrap.level,
    )
    if recommendation is not None:
        recommendation = _with_pair(recommendation, results, answers, plan, bootstrap)
    return Evaluation(
        version=version("edge-ood"),
        id_folder=plan.id_folder,
        models=results,
        bootstrap=bootstrap,
        recommendation=recommendation,
        allowed_seen=plan.allowed_overlap,
    )


def _with_pair(
    recommendation: Recommendation,
    results: Sequence[ArtifactResult],
    answers: Sequence[Answers],
    plan: Plan,
    bootstrap: Bootstrap,
) -> Recommendation:
    """With what two heads of the recommended artefact tell together, where that is more."""
    found = next(one for one in answers if one.task.artifact.name == recommendation.model)
    sets = {ID_SET: found.inside, **found.outside}
    sentence = pair_sentence(
        recommendation.head,
        {head: {n: said.scores[head] for n, said in sets.items()} for head in found.inside.scores},
        deciding_groups([result.ood for result in results]),
        halves_by_hash(plan.id_images.hashes),
        bootstrap,
    )
    if not sentence:
        return recommendation
    return replace(recommendation, sentences=(*recommendation.sentences, sentence))


def _score(task: Task, plan: Plan, batch_size: int, on_image: Callable[[], None]) -> Answers:
    scorer = task.artifact.scorer
    run = partial(score, scorer, batch_size=batch_size, on_image=on_image)

    def known(images: ImageSet) -> Scored:
        return replace(run(images), labels=true_labels(images, scorer.metadata.classes))

    inside = known(plan.id_images)
    outside = {name: run(images) for name, images in task.ood.items()}
    shifted = {name: known(images) for name, images in plan.shifted_images.items()}
    corruptions = tuple(
        measure_corruption(
            corrupted, scorer, plan.id_images, inside, batch_size=batch_size, on_image=on_image
        )
        for corrupted in plan.corrupted
    )
    return Answers(task, inside, outside, shifted, corruptions)


def _measure(
    answers: Answers, plan: Plan, bootstrap: Bootstrap, on_set: Callable[[], None]
) -> tuple[ArtifactResult, AurocReplicates]:
    task, artifact, inside = answers.task, answers.task.artifact, answers.inside
    metadata = artifact.scorer.metadata
    ood = {}
    for name, outside in answers.outside.items():
        given, overlap = plan.ood[name], task.overlap_counts(name)
        found = measure_ood(inside, outside, group=given.group, kind=given.kind, overlap=overlap)
        ood[name] = replace(found, source=valid_text(str(given.source)))
    shifted = {}
    for name, scored in answers.shifted.items():
        source, overlap = valid_text(str(plan.shifted[name].source)), task.overlap_counts(name)
        moved = measure_shifted(inside, scored, answers.outside, overlap=overlap)
        shifted[name] = replace(moved, source=source)
    result = ArtifactResult(
        name=artifact.name,
        path=artifact.path,
        sha256=artifact.sha256,
        n_bytes=artifact.n_bytes,
        precision=metadata.precision,
        heads=tuple(artifact.scorer.heads),
        primary=metadata.primary,
        alpha=_guaranteed_rate(artifact),
        objective=str(artifact.objective),
        id=measure_id(inside, artifact.thresholds, overlap=task.overlap_counts(ID_SET)),
        ood=ood,
        groups=group_results(ood),
        corruptions=answers.corruptions,
        shifted=shifted,
        temperature=metadata.temperature,
        operating_points=measure_operating_points(inside, answers.outside),
    )
    return with_intervals(
        replace(result, verdict=verdict(result)),
        inside,
        answers.outside,
        answers.shifted,
        bootstrap=bootstrap,
        on_set=on_set,
    )


def _guaranteed_rate(artifact: OpenArtifact) -> float:
    calibration = artifact.scorer.metadata.calibration
    is_manual = artifact.scorer.metadata.primary in calibration.manual_thresholds
    return math.nan if is_manual else calibration.alpha
