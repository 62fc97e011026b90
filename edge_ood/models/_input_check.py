"""Whether a model can be trained on images of a size, found out by trying shapes."""

import torch

from edge_ood.errors import InputError
from edge_ood.models._classifier import Trunk
from edge_ood.models._families import build_trunk, family_of
from edge_ood.registry import Spec

__all__ = ["check_input"]

_IMAGENET_PX = 224
_LARGEST_TRIED_PX = 512


def check_input(model: Spec, size_px: int, rows: int) -> None:
    """Refuse images that the model cannot be trained on.

    Args:
        model: A known model.
        size_px: Side S of the square images.
        rows: Images in the smallest training batch of one process.

    Raises:
        InputError: If the layers cannot take images of that size, or if batch normalisation would
            see a single value per channel.
    """
    family = family_of(model.name)
    if family.check is not None:
        with torch.random.fork_rng(devices=[]):
            family.check(model.name, build_trunk(model).train(), size_px, rows)
        return
    smallest = family.smallest_px
    trunk = _without_weights(model).train()
    if size_px >= smallest and _takes(trunk, size_px, rows):
        return
    if size_px >= smallest and _takes(trunk, size_px, rows + 1):
        raise InputError(
            f"batch normalisation of {model.name!r} needs more than {rows} image of {size_px} px",
            hint=f"--batch-size {rows + 1}, or a larger --image-size",
        )
    needed = _smallest_side(trunk, max(size_px + 1, smallest))
    raise InputError(
        f"model {model.name!r} cannot take images of {size_px} px, expected {needed} or more",
        hint=f"--image-size {needed}",
    )


def _without_weights(model: Spec) -> Trunk:
    """The trunk on torch's device for shapes alone; random draws elsewhere stay as they were."""
    try:
        with torch.device("meta"):
            return build_trunk(model)
    except NotImplementedError:  # RegNet computes its widths with tensors
        with torch.random.fork_rng(devices=[]):
            return build_trunk(model).to("meta")


def _takes(trunk: Trunk, size_px: int, rows: int) -> bool:
    """Whether a training step's forward pass has a defined shape; nothing is computed."""
    try:
        trunk(torch.zeros(rows, 3, size_px, size_px, device="meta"))
    except (RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        return False
    return True


def _smallest_side(trunk: Trunk, at_least: int) -> int:
    """Least image side from `at_least` on that the trunk takes, if larger ones are fine, too.

    A network that takes only multiples of one size has nearly always been made for 224 px.
    """
    low, high = at_least - 1, at_least
    while high <= _LARGEST_TRIED_PX and not _takes(trunk, high, 2):
        low, high = high, 2 * high
    if high > _LARGEST_TRIED_PX:
        return _IMAGENET_PX
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _takes(trunk, middle, 2) else (middle, high)
    return high
