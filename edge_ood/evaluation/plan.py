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
from edge_ood.evaluation.shifted import ShiftedSet
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
        shifted: The shifted sets by name.
        shifted_images: Theirs, the same files for every artefact.
        tasks: One for each artefact.
        corrupted: Corruptions of the ID images.
        allowed_overlap: Whether images that an artefact was made from were let in on demand.
    """

    id_folder: str
    id_images: ImageSet
    ood: Mapping[str, OodSet]
    shifted: Mapping[str, ShiftedSet]
    shifted_images: Mapping[str, ImageSet]
    tasks: tuple[Task, ...]
    corrupted: tuple[CorruptedSet, ...]
    allowed_overlap: bool

    @property
    def n_images(self) -> int:
        """Images to score, each as often as there are artefacts that score it."""
        return sum(task.n_images for task in self.tasks)

    @property
    def n_comparisons(self) -> int:
        """OOD sets to compare with ID images, alone and together with each shifted set."""
        return len(self.tasks) * len(self.ood) * (1 + len(self.shifted))

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
    sets: Sequence[OodSet | ShiftedSet],
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
        sets: The OOD sets, whose labels are ignored, and the shifted sets.
        corrupted: Corruptions of the ID images.
        allow_overlap: Let in images that an artefact was made from.

    Raises:
        ArtifactError, ExportError, InputError: If images cannot be made for an artefact.
        DataError: If a set is empty, a file cannot be read, an artefact was made from a test image
            (see `refuse_overlap`), or a folder of a shifted set is no class.
    """
    id_images = with_hashes(id_images)
    first = artifacts[0]
    shifted = {s.name: s for s in sets if isinstance(s, ShiftedSet)}
    ood = {s.name: s for s in sets if not isinstance(s, ShiftedSet)}
    files = {
        name: with_hashes(_files(s, first, id_images))
        for name, s in ood.items()
        if s.kind == "files"
    }
    moved = {name: with_hashes(s.images(artifacts)) for name, s in shifted.items()}
    everything = {ID_SET: id_images, **files, **moved}
    for name, images in everything.items():
        if not len(images):
            raise DataError(f"set {name or 'ID'!r} has no images, expected at least one")
    found = [(artifact, find_overlap(artifact, everything)) for artifact in artifacts]
    refuse_overlap(found, allowed=allow_overlap)
    warn_of_shared_images(
        {
            "the ID set": id_images,
            **{f"the OOD set {name!r}": images for name, images in files.items()},
            **{f"the shifted set {name!r}": images for name, images in moved.items()},
        }
    )
    tasks = []
    for artifact, overlap in found:
        of_set = {
            name: files[name] if name in files else s.images(artifact.scorer, id_images)
            for name, s in ood.items()
        }
        n_corrupted = [len(c.images(artifact.scorer, id_images, STRENGTHS[0])) for c in corrupted]
        n_images = sum(map(len, (id_images, *of_set.values(), *moved.values())))
        n_images += len(STRENGTHS) * sum(n_corrupted)
        tasks.append(Task(artifact, of_set, overlap, n_images))
    return Plan(
        id_folder=id_folder,
        id_images=id_images,
        ood=ood,
        shifted=shifted,
        shifted_images=moved,
        tasks=tuple(tasks),
        corrupted=tuple(corrupted),
        allowed_overlap=allow_overlap,
    )


def _files(ood: OodSet, artifact: OpenArtifact, id_images: ImageSet) -> ImageSet:
    """The files of a set, which are the same for every artefact."""
    images = ood.images(artifact.scorer, id_images)
    assert isinstance(images, ImageSet)  # a set of this kind has nothing else
    return images
