"""At which level of folders the classes are: folders of splits and of sources are none."""

import os.path
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edge_ood.errors import DataError

__all__ = ["TEST", "TRAINING", "VALIDATION", "check_class_folders", "level_below"]

TRAINING = ("train", "training")
VALIDATION = ("val", "valid", "validation", "dev")
TEST = ("test", "testing")
_FEWEST_CLASSES = 2


def check_class_folders(root: Path, paths: Sequence[Path]) -> None:
    """Refuse folders that would become classes and are none.

    These are folders of splits, such as `train` and `test`, with others beside them if all of these
    splits hold the same folders; and folders that hold nothing but
    folders which repeat, `a/cat a/dog b/cat b/dog`: if `cat` and `dog` are the classes, a network
    would learn to tell `a` from `b`.

    Args:
        root: The folder.
        paths: All images below it, none directly in it.

    Raises:
        DataError: Its hint has the folder to give instead.
    """
    folders = _folders(root, paths)
    tops = sorted({parts[0] for parts in folders})
    splits = (*TRAINING, *VALIDATION, *TEST)
    named = [top for top in tops if top.casefold() in splits]
    if len(named) > 1 and (
        named == tops or _repeated({parts for parts in folders if parts[0] in named}, len(named))
    ):
        others = " and no classes" if named == tops else ", and more folders beside them"
        raise DataError(
            f"'{root}' holds splits{others}: {_listed(tops)}", hint=_way_on(root, named)
        )
    repeated = _repeated(folders, len(tops))
    if repeated:
        raise DataError(
            f"the folders of '{root}' hold only folders, and these repeat: {_listed(repeated)}",
            hint=f"if these are the classes, give one folder, such as '{root / tops[0]}';"
            f" if {_listed(tops)} are, move their images up, to DATA/<class>/<file>",
        )


def level_below(root: Path, paths: Sequence[Path]) -> str | None:
    """The hint for a single folder that holds the class folders, else None.

    Args:
        root: The folder.
        paths: All images below it, none directly in it.
    """
    folders = {path.parent for path in paths}
    shared = Path(os.path.commonpath(folders))
    if shared == root or shared in folders:
        return None
    below = {folder.relative_to(shared).parts[0] for folder in folders}
    return f"give '{shared}', which holds {len(below)} folders"


def _folders(root: Path, paths: Sequence[Path]) -> set[tuple[str, ...]]:
    """The folders of images, as parts below the root: few, where the images are many."""
    return {folder.relative_to(root).parts for folder in {path.parent for path in paths}}


def _repeated(folders: set[tuple[str, ...]], n_tops: int) -> list[str]:
    """Names of folders in every one of several folders, if there are two and no image is beside."""
    if n_tops < _FEWEST_CLASSES or any(len(parts) == 1 for parts in folders):
        return []
    counts = Counter(name for _, name in {parts[:2] for parts in folders})
    repeated = sorted(name for name, count in counts.items() if count == n_tops)
    return repeated if len(repeated) >= _FEWEST_CLASSES else []


def _way_on(root: Path, tops: Sequence[str]) -> str:
    by_role = {
        role: next((root / top for top in tops if top.casefold() in names), None)
        for role, names in (("train", TRAINING), ("val", VALIDATION), ("test", TEST))
    }
    if by_role["train"] is None:
        return "give the folder that holds the class folders to train on"
    hint = f"give '{by_role['train']}'"
    if by_role["val"] is not None:
        hint += f", and '{by_role['val']}' to 'edge-ood train' as --validation"
    if by_role["test"] is not None:
        hint += f"; '{by_role['test']}' is for 'edge-ood evaluate --id'"
    return hint


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:4]))
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
