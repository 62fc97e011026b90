"""What an evaluation is going to score, settled and checked before anything is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ood.corruptions import STRENGTHS
from edge_ood.errors import DataError
from edge_ood.evaluation.corrupted import CorruptedSet
from edge_ood.evaluation.models import Model
from edge_ood.evaluation.scored import index_of
from edge_ood.evaluation.seen import Seen, find_seen, refuse_seen
from edge_ood.evaluation.sets import MadeImages, OodSet
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import with_hashes

__all__ = ["ID_SET", "Plan", "Task", "plan_evaluation"]

ID_SET = ""
"""What the ID set is called among the OOD sets, whose names are never empty."""


@dataclass(frozen=True)
class Task:
    """What one artefact is to score.

    Attributes:
        model: The artefact.
        ood: OOD images by name of their set, files or made for this artefact.
        seen: By set, the ID set as `ID_SET`, and by role: files that it was made from.
        n_images: Images to score, spoilt ones included.
    """

    model: Model
    ood: Mapping[str, ImageSet | MadeImages]
    seen: Seen
    n_images: int

    def seen_counts(self, name: str) -> dict[str, int]:
        """By role, how many images of a set the artefact was made from."""
        return {role: len(files) for role, files in self.seen.get(name, {}).items()}


@dataclass(frozen=True)
class Plan:
    """Artefacts and sets, ready to be scored.

    Attributes:
        id_folder: The folder of ID images, as it was given.
        known: The ID images.
        ood: The OOD sets by name.
        tasks: One for each artefact.
        corrupted: Ways to spoil the ID images.
        allowed_seen: Whether images that an artefact was made from were let in on demand.
    """

    id_folder: str
    known: ImageSet
    ood: Mapping[str, OodSet]
    tasks: tuple[Task, ...]
    corrupted: tuple[CorruptedSet, ...]
    allowed_seen: bool

    @property
    def n_images(self) -> int:
        """Images to score, each as often as there are artefacts that score it."""
        return sum(task.n_images for task in self.tasks)

    def made_image(self, place: int, name: str, image: str) -> NDArray[np.uint8] | None:
        """Pixels (S, S, 3) of an example of a made set, as made for one artefact.

        Args:
            place: Of the artefact.
            name: Of the set.
            image: What the example is called in results; None is returned for a path.
        """
        images = self.tasks[place].ood.get(name)
        if images is None or isinstance(images, ImageSet):
            return None
        pixels: NDArray[np.uint8] = images.frames([index_of(image)])[0]
        return pixels


def plan_evaluation(
    models: Sequence[Model],
    id_folder: str,
    known: ImageSet,
    sets: Sequence[OodSet],
    *,
    corrupted: Sequence[CorruptedSet] = (),
    allow_seen: bool = False,
) -> Plan:
    """Hash all files, refuse what would be no fair test, and get ready what is made.

    Args:
        models: One artefact or more.
        id_folder: Where the known images are, as it was given.
        known: Known images; labels are used by the artefacts that have their classes.
        sets: Foreign images; labels are ignored.
        corrupted: Ways to spoil the known images.
        allow_seen: Let in images that an artefact was made from.

    Raises:
        ArtifactError, ExportError, InputError: If images cannot be made for an artefact.
        DataError: If a set is empty, a file cannot be read, or an artefact was made from a test
            image; see `refuse_seen`.
    """
    known = with_hashes(known)
    files = {s.name: with_hashes(_files(s, models[0], known)) for s in sets if s.kind == "files"}
    everything = {ID_SET: known, **files}
    for name, images in everything.items():
        if not len(images):
            raise DataError(f"set {name or 'ID'!r} has no images, expected at least one")
    found = [(model, find_seen(model, everything)) for model in models]
    refuse_seen(found, allowed=allow_seen)
    tasks = []
    for model, seen in found:
        made = {s.name: s.images(model.scorer, known) for s in sets if s.name not in files}
        ood = {s.name: files[s.name] if s.name in files else made[s.name] for s in sets}
        spoilt = [len(c.images(model.scorer, known, STRENGTHS[0])) for c in corrupted]
        n_images = len(known) + sum(map(len, ood.values())) + len(STRENGTHS) * sum(spoilt)
        tasks.append(Task(model, ood, seen, n_images))
    by_name = {s.name: s for s in sets}
    return Plan(id_folder, known, by_name, tuple(tasks), tuple(corrupted), allow_seen)


def _files(foreign: OodSet, model: Model, known: ImageSet) -> ImageSet:
    """The files of a set, which are the same for every artefact."""
    images = foreign.images(model.scorer, known)
    assert isinstance(images, ImageSet)  # a set of this kind has nothing else
    return images
