"""`primary auto`: evidence about what should decide, from images that fitted and chose nothing.

Candidates are the score that decides by default and every head of the file, but for those that are
there for comparison. The rule by which one of them is taken is that of
`edge_ood.calibration.primary`; its evidence comes from the training side alone:

ID     one half of the training images, by hash, fits all heads and chooses their parameters, as all
       of them do for the file. Of the other half at most 1,000 are scored: one half of these fixes
       the surprises of the combined score, the other one is compared with the OOD images.
near   outliers, at most 1,000, of the half that chose no parameter
far    100 synthetic images of each kind that is made from nothing, and 100 adversarial versions of
       ID images where the network has a gradient

No calibration image and no test image takes part. Where there is no such evidence, the default
decides: without outliers, too, since adversarial images rank scores as far images do. Of 11 scores
of a published ResNet-20 and a ResNet-56, the rank correlation of AUROC with that on CIFAR-100 was
.95 and .88 for outliers, .03 and .29 for adversarial images; with the mean over four far sets it
was .82 and .92 for adversarial images, .81 and .65 for blobs, .46 and .82 for Gaussian noise.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.attachment.heads import fitted_heads
from edge_ood.attachment.request import Options, Request
from edge_ood.attachment.tune import Bench, tune
from edge_ood.calibration.combination import COMBINED, fit_combination
from edge_ood.calibration.primary import PrimaryChoice, check_evidence, choose_primary
from edge_ood.errors import CalibrationError, ExportError
from edge_ood.images.reading import with_hashes
from edge_ood.images.splits import evenly_spread, halves_by_hash
from edge_ood.scores import BoundHead
from edge_ood.synthetic import KINDS

__all__ = ["chosen_primary", "with_choice"]

_ID = "ID"
_OF_EACH_KIND = 100
_WHITE = 255

_Scores = Mapping[str, NDArray[np.float32]]


def chosen_primary(
    request: Request, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> PrimaryChoice:
    """What decides in an artefact, and why.

    Args:
        request: Its options have the heads, and the primary head and guarantee of the default.
        on_progress: Called in each pass with how many images it has read, and of how many.

    Raises:
        DataError: If an image cannot be read.
    """
    default = request.options.primary
    assert default is not None  # an earlier step
    try:
        return _chosen(request, default, on_progress)
    except (CalibrationError, ExportError) as error:
        return PrimaryChoice(default, default, f"{default!r} decides, as by default: {error}")


def with_choice(
    choices: Mapping[str, Mapping[str, Any]], choice: PrimaryChoice
) -> dict[str, Mapping[str, Any]]:
    """What was chosen, by head, with why this one decides."""
    told = {name: value for name, value in asdict(choice).items() if name != "primary" and value}
    return {**choices, choice.primary: {**choices.get(choice.primary, {}), "primary": told}}


def _chosen(
    request: Request, default: str, on_progress: Callable[[int, int], None]
) -> PrimaryChoice:
    fitting, judging = _halves(request)
    bench = Bench(judging, on_progress)
    images = {
        _ID: bench.id_images(),
        "near": bench.ood_images("outliers"),
        "far": np.concatenate(list(_far(judging, on_progress))),
    }
    heads = _fitted(fitting, on_progress)
    first = halves_by_hash(judging.training.hashes)
    found = {group: bench.scores(heads, shown) for group, shown in images.items()}
    scores = _judged(request.options, heads, first, found)
    return choose_primary(default, scores.pop(_ID), scores)


def _halves(request: Request) -> tuple[Request, Request]:
    """The request for the images that fit and choose parameters, and that for those that judge."""
    if not len(request.outliers):
        raise CalibrationError("there are no outliers, and nothing else stands for near images")
    if request.training_role == "calibration":
        raise CalibrationError("no images are left but those that set the thresholds")
    training, outliers = with_hashes(request.training), with_hashes(request.outliers)
    fits, tunes = halves_by_hash(training.hashes), halves_by_hash(outliers.hashes)
    judges = evenly_spread(training.subset(~fits), Bench.MOST)
    check_evidence("training images", int((~halves_by_hash(judges.hashes)).sum()))
    check_evidence("outliers", int((~tunes).sum()))
    options = replace(request.options, statistics="training")
    fitting = replace(
        request, training=training.subset(fits), outliers=outliers.subset(tunes), options=options
    )
    return fitting, replace(request, training=judges, outliers=outliers.subset(~tunes))


def _fitted(request: Request, on_progress: Callable[[int, int], None]) -> tuple[BoundHead, ...]:
    """All heads, as they are fitted and chosen for a file, but on these images."""
    try:
        fitted = fitted_heads(request, on_progress)
        for note in fitted.notes:
            raise CalibrationError(note)
        return tune(request, fitted.heads, on_progress=on_progress).heads
    except CalibrationError as error:
        raise CalibrationError(f"of one half of the training images: {error}") from error


def _far(request: Request, on_progress: Callable[[int, int], None]) -> Iterator[NDArray[np.uint8]]:
    """Images (M, R, R, 3) of every kind that is made from nothing, and adversarial ones."""
    kinds = [kind for name in KINDS.names() for kind in [KINDS.get(name)] if kind.group == "far"]
    size_px = request.preprocess.resized_px
    for row, kind in enumerate(kinds):
        for index in range(_OF_EACH_KIND):
            image = kind.make(np.random.default_rng([row, index]), size_px)
            yield np.rint(_WHITE * image[None]).astype(np.uint8)
    few = replace(request, training=evenly_spread(request.training, _OF_EACH_KIND))
    with contextlib.suppress(ExportError):  # no gradient: an operator without a rule, or int8
        yield Bench(few, on_progress).ood_images("fgsm")


def _judged(
    options: Options,
    heads: Sequence[BoundHead],
    first: NDArray[np.bool_],
    scores: Mapping[str, _Scores],
) -> dict[str, _Scores]:
    """Scores of the candidates by group; of ID images only those that fixed no surprise."""
    for name, values in scores[_ID].items():
        if not np.isfinite(values).all():
            raise CalibrationError(f"{name!r} is not finite on a training image")
    if options.guarantee.combined:
        members = options.guarantee.members([head.name for head in heads])
        surprises = fit_combination(
            {name: scores[_ID][name][first] for name in members}, options.guarantee.combined_rule
        )
        scores = {g: {**found, COMBINED: surprises.score(found)} for g, found in scores.items()}
    recommended = [head.name for head in heads if not head.head.not_recommended]
    allowed = [name for name in scores[_ID] if name in (options.primary, COMBINED, *recommended)]
    if len(allowed) == 1:
        raise CalibrationError("there is no other score to choose")
    return {
        group: {name: found[name][~first] if group == _ID else found[name] for name in allowed}
        for group, found in scores.items()
    }
