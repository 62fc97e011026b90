"""Overlap of test images with those an artefact was made from: refused unless allowed."""

from collections.abc import Mapping, Sequence

import numpy as np

from edge_ood.artifact.never_tested import declared_roles
from edge_ood.errors import DataError
from edge_ood.evaluation.artifacts import OpenArtifact
from edge_ood.files.paths import shown_path
from edge_ood.images.folders import ImageSet

__all__ = ["Overlap", "find_overlap", "refuse_overlap"]

_SHOWN = 5
_UNDECLARED = frozenset(["unlabelled"])
"""Roles that a file excludes from any test where it does not say which: those of earlier versions
do not, and some of them were trained on a pool to show that it need hold no test image."""

Overlap = Mapping[str, Mapping[str, Sequence[str]]]
"""By set and role, the files that had that role for an artefact; no role without files."""


def find_overlap(artifact: OpenArtifact, sets: Mapping[str, ImageSet]) -> Overlap:
    """Find the images of each set that an artefact was made from.

    A manifest holds at most 50,000 hashes, so where a role had more images some are not found.

    Args:
        artifact: Opened.
        sets: Image files with their hashes, by name.
    """
    found: dict[str, dict[str, list[str]]] = {name: {} for name in sets}
    for role, manifest in artifact.scorer.metadata.manifests.items():
        for name, images in sets.items():
            shared = np.flatnonzero(manifest.overlap(images.hashes))
            if len(shared):
                found[name][role] = [shown_path(images.paths[i]) for i in shared]
    return found


def refuse_overlap(found: Sequence[tuple[OpenArtifact, Overlap]], *, allowed: bool) -> None:
    """Refuse test images that an artefact was made from.

    Args:
        found: Each artefact with what `find_overlap` found.
        allowed: Let them in, but for what an artefact excludes itself.

    Raises:
        DataError: Naming artefact, roles, numbers and the first files; also where `allowed` if the
            artefact excludes such images from any test, or does not say whether it does.
    """
    parts = []
    for artifact, overlap in found:
        excluded = declared_roles(artifact.scorer.metadata.provenance)
        for role, files in _by_role(overlap).items():
            said = f"{_listed(files)} {role} images of '{artifact.path}'"
            if role in (_UNDECLARED if excluded is None else excluded):
                raise _excluded(said, is_declared=excluded is not None)
            parts.append(said)
    if parts and not allowed:
        raise DataError(
            "; ".join(parts),
            hint="test on images that the artefact was not made from, or pass --allow-seen, and the"
            " report says so",
        )


def _excluded(said: str, *, is_declared: bool) -> DataError:
    """The error that no option lifts."""
    if is_declared:
        return DataError(
            f"{said}, which its training excludes from any test",
            hint="test on other images, or train in a way that may learn from them, and says so",
        )
    return DataError(
        f"{said}, and it does not say whether these may be tested on",
        hint="test on other images; a file of an earlier version says so once it is exported again",
    )


def _by_role(overlap: Overlap) -> dict[str, list[str]]:
    """Files of all sets by role, each once."""
    files: dict[str, dict[str, None]] = {}
    for roles in overlap.values():
        for role, paths in roles.items():
            files.setdefault(role, {}).update(dict.fromkeys(paths))
    return {role: list(paths) for role, paths in files.items()}


def _listed(files: Sequence[str]) -> str:
    """How many files, and the first of them by name."""
    names = ", ".join(f"'{name}'" for name in files[:_SHOWN])
    if len(files) == 1:
        return f"test image {names} is among the"
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return f"{len(files)} test images ({names}{more}) are among the"
