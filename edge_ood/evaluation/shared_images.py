"""Images that are in a test more than once: copies within a set, and sets that share images."""

import warnings
from collections.abc import Mapping
from itertools import combinations

from edge_ood.files.paths import shown_path
from edge_ood.images.copies import first_of_each
from edge_ood.images.folders import ImageSet
from edge_ood.images.thumbnails import thumbnails_note

__all__ = ["SharedImagesWarning", "warn_of_shared_images"]


class SharedImagesWarning(UserWarning):
    """Test images are not what numbers and intervals take them for: each another image."""


def warn_of_shared_images(sets: Mapping[str, ImageSet]) -> None:
    """Warn of copies within a set, of sets that share images by content, and of thumbnails.

    Every file is scored all the same: nobody but the user can say which set an image belongs to.

    Args:
        sets: With hashes, by what they are called, such as `the ID set`.
    """
    messages = [text for name, images in sets.items() for text in _of_one(name, images)]
    contents = {name: set(images.hashes) for name, images in sets.items()}
    for one, other in combinations(sets, 2):
        shared = contents[one] & contents[other]
        if shared:
            is_one = contents[one] == contents[other]
            first = next(sets[one].paths[i] for i, h in enumerate(sets[one].hashes) if h in shared)
            what = f"hold the same {len(shared)}" if is_one else f"share {len(shared)}"
            messages.append(f"{one} and {other} {what} images, such as '{shown_path(first)}'")
    for message in messages:
        warnings.warn(message, SharedImagesWarning, stacklevel=2)


def _of_one(name: str, images: ImageSet) -> list[str]:
    """What is to be said about the images of one set."""
    said = [f"{name}: {note}" for note in thumbnails_note(images.paths)]
    first = first_of_each(images.hashes)
    copies = len(first) - int(first.sum())
    if copies:
        example = shown_path(images.paths[int(first.argmin())])
        said.append(
            f"{copies} of {len(first)} images of {name} are copies of others, such as"
            f" '{example}'; each is counted, so that intervals are too narrow"
        )
    return said
