"""Folders `train`, `val` and `test` of one data set, as many are published."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ood.errors import DataError
from edge_ood.files.paths import is_folder
from edge_ood.images.class_names import class_positions
from edge_ood.images.folders import find_images
from edge_ood.images.levels import TEST, TRAINING, VALIDATION

__all__ = ["SplitFolders", "split_folders"]

_SHOWN = 4


@dataclass(frozen=True)
class SplitFolders:
    """Folders of class folders, all below one folder that holds no other images."""

    training: Path
    validation: Path | None
    test: Path | None


def split_folders(root: Path) -> SplitFolders | None:
    """The splits in a folder; None where it holds anything else.

    Raises:
        DataError: If validation or test images have a class that the training images lack, or a
            folder cannot be read.
    """
    if not _may_hold_splits(root):
        return None
    parts = {path.relative_to(root).parts[:-1] for path in find_images(root)}
    if any(len(folders) < 2 for folders in parts):  # an image has no split, or no class
        return None
    classes: dict[str, set[str]] = {}
    for top, name, *_ in parts:
        classes.setdefault(top, set()).add(name)
    roles = [_named(classes, names) for names in (TRAINING, VALIDATION, TEST)]
    if sum(map(len, roles)) != len(classes) or max(map(len, roles)) > 1 or not roles[0]:
        return None
    (train,), *others = roles
    for top in (top for tops in others for top in tops):
        _check_classes(root, train, sorted(classes[train]), top, sorted(classes[top]))
    validation, test = (root / tops[0] if tops else None for tops in others)
    return SplitFolders(root / train, validation, test)


def _may_hold_splits(root: Path) -> bool:
    """Whether it is worth a walk through all of a folder."""
    try:
        return is_folder(root) and bool(_named([p.name for p in root.iterdir()], TRAINING))
    except OSError:
        return False


def _named(tops: Iterable[str], names: Sequence[str]) -> list[str]:
    return [top for top in tops if top.casefold() in names]


def _check_classes(
    root: Path, train: str, trained: Sequence[str], other: str, found: Sequence[str]
) -> None:
    known = class_positions(found, trained)
    strange = [name for name in found if name not in known]
    if strange:
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        raise DataError(
            f"'{root / other}' has classes that '{root / train}' has not:"
            f" {', '.join(map(repr, strange[:_SHOWN]))}{more}",
            hint=f"rename or remove them, or give '{root / train}' alone",
        )
