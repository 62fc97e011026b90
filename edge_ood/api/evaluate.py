"""`edge_ood.evaluate`: artefacts on ID and OOD images, as one typed result and as files."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from edge_ood.api.evaluation_files import EvaluationFiles
from edge_ood.api.plain import PathLike, path_or_none
from edge_ood.evaluation.artifacts import open_artifacts
from edge_ood.evaluation.corrupted import parse_corruptions
from edge_ood.evaluation.evaluate import measure_answers, score_plan
from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.evaluation.results import Bootstrap
from edge_ood.evaluation.sets import parse_sets
from edge_ood.evaluation.shifted import parse_shifted
from edge_ood.files.text import valid_text
from edge_ood.images.folders import read_images

__all__ = ["ImageSources", "evaluate"]

ImageSources = PathLike | Sequence[PathLike] | Mapping[str, PathLike]
"""A folder or, of OOD images, a kind such as `"gaussian:count=500"`, several, or by name."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


def _silent(label: str, length: int) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(lambda: None)


def evaluate(
    artifacts: PathLike | Sequence[PathLike],
    *,
    id: PathLike,
    ood: ImageSources = (),
    near: ImageSources = (),
    far: ImageSources = (),
    shifted: ImageSources = (),
    corrupted: str | Sequence[str] | None = None,
    bootstrap: int = 1000,
    allow_seen: bool = False,
    json: PathLike | None = None,
    csv: PathLike | None = None,
    report: PathLike | None = None,
    figures: PathLike | None = None,
    batch_size: int = 8,
    provider: str = "auto",
    force: bool = False,
    on_step: Callable[[str], None] = lambda name: None,
    progress: Progress = _silent,
) -> Evaluation:
    """Measure how well artefacts tell ID from OOD images; nothing is tuned.

    Sets that share images, and copies within one, are a `SharedImagesWarning`.

    Args:
        artifacts: One artefact, or several to compare.
        id: Folder of ID test images; subfolders named after the classes also give the accuracy.
        ood: OOD sets of no group: folders, or kinds of synthetic images.
        near: OOD sets that resemble the classes.
        far: OOD sets that do not.
        shifted: Folders of ID images under other conditions, such as of another camera, in
            subfolders named after the classes; nothing of them should be flagged.
        corrupted: Corruptions of the ID images: `"all"`, or names such as `"blur:count=500"`.
        bootstrap: Times that images are drawn again for 95 % intervals; 0 for none.
        allow_seen: Measure even on images that an artefact was made from.
        json: File for the document of all numbers.
        csv: File for a table, a row per artefact, set and head.
        report: File for one page with all figures, `FILE.html`.
        figures: Folder for the figures of the page, as PNG and SVG.
        batch_size: Images per inference.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        force: Replace files that exist.
        on_step: Called with the name of what takes a while before it starts.
        progress: `progress(label, length)` gives a context whose value is called after each image
            or set; silent by default.

    Returns:
        Everything that tables, pages and figures show.

    Raises:
        ArtifactError: If an artefact is missing, no artefact, damaged or was never calibrated.
        DataError: If a folder holds no image, an image cannot be read, an artefact was made from
            one, or a folder of a shifted set is no class.
        InputError: If a set is unusable or given twice, or a file exists and `force` is not set.
        MissingDependencyError: If a page or figures are asked for without the extra `report`.
    """
    files = EvaluationFiles(
        json=path_or_none(json),
        csv=path_or_none(csv),
        report=path_or_none(report),
        figures=path_or_none(figures),
    )
    files.check(force=force)
    sets = parse_sets(*(list(_texts(given)) for given in (ood, near, far)))
    shifted_sets = parse_shifted(list(_texts(shifted)), sets)
    corruptions = parse_corruptions(_joined(corrupted)) if corrupted else ()
    opened = open_artifacts(_paths(artifacts), provider=provider)
    classes = dict.fromkeys(name for a in opened for name in a.scorer.metadata.classes)
    id_images = read_images(Path(id), list(classes))
    on_step("overlap")
    plan = plan_evaluation(
        opened,
        valid_text(str(id)),
        id_images,
        [*sets, *shifted_sets],
        corrupted=corruptions,
        allow_overlap=allow_seen,
    )
    with progress("scoring", plan.n_images) as on_image:
        answers = score_plan(plan, batch_size=batch_size, on_image=on_image)
    with progress("measuring", plan.n_comparisons if bootstrap else 0) as on_set:
        result = measure_answers(plan, answers, bootstrap=Bootstrap(bootstrap), on_set=on_set)
    files.write(result, plan, on_step)
    return result


def _paths(given: PathLike | Sequence[PathLike]) -> list[Path]:
    several = [given] if isinstance(given, str | os.PathLike) else given
    return [Path(path) for path in several]


def _texts(given: ImageSources) -> Iterator[str]:
    """Sets as the command line writes them; a path is a folder, whatever its name."""
    if isinstance(given, Mapping):
        yield from (f"{name}={_text(source)}" for name, source in given.items())
        return
    several = [given] if isinstance(given, str | os.PathLike) else given
    yield from map(_text, several)


def _text(source: PathLike) -> str:
    return source if isinstance(source, str) else str(Path(source).absolute())


def _joined(corrupted: str | Sequence[str]) -> str:
    return corrupted if isinstance(corrupted, str) else ",".join(corrupted)
