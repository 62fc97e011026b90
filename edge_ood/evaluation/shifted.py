"""Images of the classes under other conditions, such as of another camera: not to be flagged.

Source: full-spectrum detection, Yang, Zhou & Liu 2022, arXiv:2204.05306.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ood.errors import DataError, InputError
from edge_ood.evaluation.artifacts import OpenArtifact
from edge_ood.evaluation.sets import OodSet, split_name
from edge_ood.files.paths import is_folder, shortest_name
from edge_ood.files.text import valid_text
from edge_ood.images.class_names import class_positions
from edge_ood.images.folders import ImageSet, read_images

__all__ = ["ShiftedSet", "parse_shifted"]

_FORMS = "DIR or NAME=DIR"
_SHOWN = 5


@dataclass(frozen=True)
class ShiftedSet:
    """Images of the classes, unlike those of the training in some other way.

    Attributes:
        name: What tells it from the other sets.
        source: Its folder.
    """

    name: str
    source: Path

    def images(self, artifacts: Sequence[OpenArtifact]) -> ImageSet:
        """Its images, with labels where they lie in class folders.

        Args:
            artifacts: Those that are to classify them.

        Raises:
            DataError: If the folder is missing or holds no image, if a folder in it bears no class
                of an artefact, or if some images lie in class folders and others do not.
        """
        classes = dict.fromkeys(c for a in artifacts for c in a.scorer.metadata.classes)
        images = read_images(self.source, list(classes))
        stray = [path for path in images.files if path.parent == self.source]
        if len(stray) == len(images):
            return images
        if stray:
            raise DataError(
                f"'{stray[0]}' lies beside the class folders of the shifted set {self.name!r}",
                hint=f"move it into a class folder, or out of '{self.source}'",
            )
        folders = sorted({path.relative_to(self.source).parts[0] for path in images.files})
        for artifact in artifacts:
            self._check_classes(folders, artifact)
        return images

    def _check_classes(self, folders: Sequence[str], artifact: OpenArtifact) -> None:
        """Refuse folders that bear no class, whose images are OOD."""
        classes = artifact.scorer.metadata.classes
        known = class_positions(folders, classes)
        strange = [name for name in folders if name not in known]
        if strange:
            more = f" ({len(strange)} folders are none)" if len(strange) > 1 else ""
            listed = ", ".join(map(repr, classes[:_SHOWN])) + ", ..." * (len(classes) > _SHOWN)
            raise DataError(
                f"'{self.source / strange[0]}' of the shifted set {self.name!r} is no class of "
                f"'{artifact.path}'{more}",
                hint=f"name its folders after the classes, {listed}; images of anything else "
                "belong to --ood",
            )


def parse_shifted(given: Sequence[str], others: Sequence[OodSet] = ()) -> tuple[ShiftedSet, ...]:
    """Shifted sets from `DIR` or `NAME=DIR`, named as folders of OOD images are.

    Args:
        given: In the order of the report.
        others: Whose names are taken.

    Raises:
        InputError: If a name or folder is missing, or is given twice.
    """
    split = [split_name(text, lambda whole: is_folder(Path(whole)), _FORMS) for text in given]
    taken = [*(one.name for one in others), *(name for name, _ in split if name)]
    plain = [Path(source).resolve().parts for name, source in split if not name]
    sets: dict[str, ShiftedSet] = {}
    names = {one.name for one in others}
    for name, source in split:
        chosen = valid_text(name or shortest_name(Path(source).resolve().parts, plain, taken))
        if not chosen or chosen in sets or chosen in names:
            raise InputError(
                f"{chosen or source!r} is given twice",
                hint="give each set once, or name them with NAME=DIR",
            )
        sets[chosen] = ShiftedSet(chosen, Path(source))
    return tuple(sets.values())
