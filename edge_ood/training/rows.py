"""Images of a split as rows of a tensor that holds more, and may be a file larger than memory."""

from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from edge_ood.threads import slices

__all__ = ["Images", "Rows", "taken", "to_device"]

_IMAGES_PER_PART = 256


@dataclass(frozen=True)
class Rows:
    """Images of a tensor that holds more, and may be a file larger than memory.

    Attributes:
        tensor: uint8 (M, R, R, 3), on the host.
        rows: int64 (N,).
    """

    tensor: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, chosen: Tensor) -> Tensor: ...

    @overload
    def __getitem__(self, chosen: slice) -> "Rows": ...

    def __getitem__(self, chosen: Tensor | slice) -> "Tensor | Rows":
        """Copies of some images; of a slice the images that stay where they are."""
        rows = self.rows[chosen]
        return Rows(self.tensor, rows) if isinstance(chosen, slice) else self.tensor[rows]

    def to(self, device: torch.device) -> Tensor:
        """Copies of all images, moved to a device in parts."""
        images = torch.empty((len(self), *self.tensor.shape[1:]), dtype=torch.uint8, device=device)
        for part in slices(len(self), _IMAGES_PER_PART):
            images[part] = self.tensor[self.rows[part]].to(device)
        return images


Images = Tensor | Rows
"""uint8 images (N, R, R, 3): a tensor of them, or rows of a larger one."""


def taken(images: Images, rows: Tensor) -> Tensor:
    """Some images, from where they lie."""
    if isinstance(images, Rows):
        return images[rows]
    return images[to_device(rows, images.device)]


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device, perhaps still on its way: the host never waits for it.

    From memory that is not pinned, a copy to a GPU waits until all earlier work there is done.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
