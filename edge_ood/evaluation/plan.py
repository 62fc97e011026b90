"""What an evaluation is going to score, settled and checked before anything is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ood.corruptions import STRENGTHS
from edge_ood.errors import DataError
from edge_ood.evaluation.artifacts import OpenArtifact
from edge_ood.evaluation.corrupted import CorruptedSet
from edge_ood.evaluation.overlap import Overlap, find_overlap, refuse_overlap
from edge_ood.evaluation.scored import index_of
from edge_ood.evaluation.sets import OodSet, SyntheticImages
from edge_ood.evaluation.shared_images import warn_of_shared_images
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import with_hashes

__all__ = ["ID_SET", "Plan", "Task", "plan_evaluation"]

ID_SET = ""
"""What the ID set is called among the OOD sets, whose names are never empty."""


@dataclass(frozen=True)
class Task:
    """What one artefact is to score.

    Attributes:
        artifact: The artefact.
        ood: OOD images by name of their set: files, or synthetic images for this artefact.
        overlap: By set, the ID set as `ID_SET`, and by role: files that it was made from.
        n_images: Images to score, corrupted ones included.
    """

    artifact: OpenArtifact
    ood: Mapping[str, ImageSet | SyntheticImages]
    overlap: Overlap
    n_images: int

    def overlap_counts(self, name: str) -> dict[str, int]:
        """By role, how many images of a set the artefact was made from."""
        return {role: len(files) for role, files in self.overlap.get(name, {}).items()}


@dataclass(frozen=True)
class Plan:
    """Artefacts and sets, ready to be scored.

    Attributes:
        id_folder: The folder of ID images, as it was given.
        id_images: The ID images.
        ood: The OOD sets by name.
        tasks: One for each artefact.
        corrupted: Corruptions of the ID images.
        allowed_overlap: Whether images that an artefact was made from were let in on demand.
    """

    id_folder: str
    id_images: ImageSet
    ood: Mapping[str, OodSet]
    tasks: tuple[Task, ...]
    corrupted: tuple[CorruptedSet, ...]
    allowed_overlap: bool

    @property
    def n_images(self) -> int:
        """Images to score, each as often as there are artefacts that score it."""
        return sum(task.n_images for task in self.tasks)

    def synthetic_image(self, place: int, name: str, image: str) -> NDArray[np.uint8] | None:
        """Pixels (S, S, 3) of a synthetic image, as made for one artefact.

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
    artifacts: Sequence[OpenArtifact],
    id_folder: str,
    id_images: ImageSet,
    sets: Sequence[OodSet],
    *,
    corrupted: Sequence[CorruptedSet] = (),
    allow_overlap: bool = False,
) -> Plan:
    """Hash all files, refuse what would be no fair test, and get ready what is made.

    Sets that share images, and copies within one, are a `SharedImagesWarning`.

    Args:
        artifacts: One or more.
        id_folder: Where the ID images are, as it was given.
        id_images: The ID images; labels are used by the artefacts that have their classes.
        sets: The OOD sets; labels are ignored.
        corrupted: Corruptions of the ID images.
        allow_overlap: Let in images that an artefact was made from.

    Raises:
        ArtifactError, ExportError, InputError: If images cannot be made for an artefact.
        DataError: If a set is empty, a file cannot be read, or an artefact was made from a test
            image; see `refuse_overlap`.
    """
    id_images = with_hashes(id_images)
    first = artifacts[0]
    files = {s.name: with_hashes(_files(s, first, id_images)) for s in sets if s.kind == "files"}
    everything = {ID_SET: id_images, **files}
    for name, images in everything.items():
        if not len(images):
            raise DataError(f"set {name or 'ID'!r} has no images, expected at least one")
    found = [(artifact, find_overlap(artifact, everything)) for artifact in artifacts]
    refuse_overlap(found, allowed=allow_overlap)
    warn_of_shared_images(everything)
    tasks = []
    for artifact, overlap in found:
        made = {s.name: s.images(artifact.scorer, id_images) for s in sets if s.name not in files}
        ood = {s.name: files[s.name] if s.name in files else made[s.name] for s in sets}
        n_corrupted = [len(c.images(artifact.scorer, id_images, STRENGTHS[0])) for c in corrupted]
        n_images = len(id_images) + sum(map(len, ood.values())) + len(STRENGTHS) * sum(n_corrupted)
        tasks.append(Task(artifact, ood, overlap, n_images))
    by_name = {s.name: s for s in sets}
    return Plan(id_folder, id_images, by_name, tuple(tasks), tuple(corrupted), allow_overlap)


def _files(ood: OodSet, artifact: OpenArtifact, id_images: ImageSet) -> ImageSet:
    """The files of a set, which are the same for every artefact."""
    images = ood.images(artifact.scorer, id_images)
    assert isinstance(images, ImageSet)  # a set of this kind has nothing else
    return images
