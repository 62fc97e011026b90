"""What a run takes over from the weights that it starts from; without torch.

Trained weights are tied to a network, to classes and to a preprocessing. Images keep their roles by
content: one that trained the weights must not set a threshold later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import ArtifactError, DataError, InputError
from edge_ood.files.paths import file_sha256
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.training.run_directory import Run, Start, read_run
from edge_ood.training.settings import Settings

__all__ = ["UNKNOWN_PAST", "Past", "check_start", "past_of", "read_start", "record_start"]

_KEPT_ROLES = ("calibration", "validation")


@dataclass(frozen=True)
class Past:
    """What images have been to the first weights; with nothing given, nobody knows.

    Attributes:
        source: What messages call the weights.
        classes: Those that their heads tell apart; None where new heads learn any.
        trained_on: Files that trained them, by content hash, those of earlier runs included.
        kept: Content hashes by role of images that go on in it: they are not drawn anew, and no
            other image can take it. Roles are `calibration` and `validation`.
    """

    source: str = ""
    classes: tuple[str, ...] | None = None
    trained_on: Mapping[str, Path] = field(default_factory=dict)
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check_classes(self, folder: Path, classes: Sequence[str]) -> None:
        """Refuse images of other classes than the weights tell apart.

        Raises:
            DataError: Naming both, as far as they differ.
        """
        if self.classes is None:
            return
        lacking = sorted(set(self.classes) - set(classes))
        added = sorted(set(classes) - set(self.classes))
        if lacking or added:
            raise DataError(
                f"'{folder}' and {self.source} have different classes: {added or 'none'} only in"
                f" the first, {lacking or 'none'} only in the second",
                hint="fine-tune on folders of the classes that the run was trained on",
            )

    def had_role(self, role: str, hashes: Sequence[str]) -> NDArray[np.bool_]:
        """Mask (N,) of the images that go on in a role, by content."""
        return np.isin(np.array(hashes, np.str_), np.array(self.kept[role], np.str_))

    def only_pretrained(self, training: ImageSet) -> ImageSet:
        """The images that trained the weights, and train no longer."""
        goes_on = set(training.hashes)
        left = {h: path for h, path in self.trained_on.items() if h not in goes_on}
        return ImageSet(tuple(left.values()), None, training.classes, tuple(left))


UNKNOWN_PAST = Past()
"""Of random weights, and of others whose images nobody knows."""


def read_start(path: Path) -> Run:
    """The finished run in a directory.

    Raises:
        ArtifactError: If there is none, or it is unfinished or damaged.
    """
    run = read_run(path)
    if not run.is_finished:
        raise ArtifactError(
            f"cannot start from '{path}': its training is not finished",
            hint="continue it with 'edge-ood train ... --resume'",
        )
    return run


def check_start(start: Run, settings: Settings, preprocess: Preprocess) -> None:
    """Refuse another network or preprocessing than the weights of a finished run have.

    Args:
        start: A finished run.
        settings: Of the new run, with all parameters of the model.
        preprocess: Of the new run; mean and std do not count, they are taken over.

    Raises:
        InputError: Naming the first option that differs, with both values.
    """
    trained, images = start.config.settings, start.config.preprocess
    for name, given, wanted in (
        ("model", trained.model, settings.model),
        ("image size", images.size_px, preprocess.size_px),
        ("resize policy", images.resize, preprocess.resize),
        ("crop share", images.crop, preprocess.crop),
        ("interpolation", images.interpolation, preprocess.interpolation),
    ):
        if given != wanted:
            raise InputError(
                f"cannot start from '{start.path}': its {name} is {given}, expected {wanted}",
                hint="leave the option out: --from decides it",
            )
    if settings.heads < trained.heads:
        raise InputError(
            f"cannot start from '{start.path}': it has {trained.heads} heads,"
            f" expected at most {settings.heads}",
            hint=f"--heads {trained.heads}",
        )


def record_start(start: Run) -> Start:
    """What the configuration of a run keeps of the finished run that it starts from."""
    return Start(str(start.path), file_sha256(start.weights_path))


def past_of(start: Run) -> Past:
    """What images have been to the weights of a finished run."""
    trained_on = {
        digest: path
        for role in ("training", "pretraining")
        for path, digest in zip(start.splits[role].files, start.splits[role].hashes, strict=True)
    }
    kept = {role: start.splits[role].hashes for role in _KEPT_ROLES}
    return Past(f"'{start.path}'", start.config.classes, trained_on, kept)
