"""What a run takes over from the finished run that it starts from; without torch.

Its weights are tied to the network, the classes and the preprocessing. Its splits are kept by
content: an image that trained the weights must not set a threshold later.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import ArtifactError, DataError, InputError
from edge_ood.files.paths import file_sha256
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.training.run_directory import Run, Start, read_run
from edge_ood.training.settings import Settings

__all__ = [
    "check_classes",
    "check_start",
    "only_pretrained",
    "read_start",
    "record_start",
    "same_role",
]


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
    """Refuse another network or preprocessing than the start weights have.

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


def check_classes(start: Run, folder: Path, classes: Sequence[str]) -> None:
    """Refuse images of other classes than the start weights know.

    Raises:
        DataError: Naming both, as far as they differ.
    """
    lacking = sorted(set(start.config.classes) - set(classes))
    added = sorted(set(classes) - set(start.config.classes))
    if lacking or added:
        raise DataError(
            f"'{folder}' and '{start.path}' have different classes: {added or 'none'} only in the"
            f" first, {lacking or 'none'} only in the second",
            hint="fine-tune on folders of the classes that the run was trained on",
        )


def record_start(start: Run) -> Start:
    """What the configuration of a run keeps of the run that it starts from."""
    return Start(str(start.path), file_sha256(start.weights_path))


def same_role(start: Run, role: str, hashes: Sequence[str]) -> NDArray[np.bool_]:
    """Mask (N,) of the images that had a role in the run that is started from, by content."""
    return np.isin(np.array(hashes, np.str_), np.array(start.splits[role].hashes, np.str_))


def only_pretrained(start: Run, training: ImageSet) -> ImageSet:
    """Images that trained the start weights, or those before them, and train no longer."""
    kept = set(training.hashes)
    earlier = {
        digest: path
        for role in ("training", "pretraining")
        for path, digest in zip(start.splits[role].paths, start.splits[role].hashes, strict=True)
        if digest not in kept
    }
    return ImageSet(tuple(earlier.values()), None, training.classes, tuple(earlier))
