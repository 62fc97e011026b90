"""Which images the rows are made and measured with."""

from dataclasses import dataclass

__all__ = ["CIFAR10", "IMAGENET", "Images"]


@dataclass(frozen=True)
class Images:
    """What networks for the same classes are made and measured with; `prepare.py` writes it.

    Attributes:
        folder: Holds ID images in `train`, `test` and the parts held out, and OOD sets in `ood`.
        num_classes: Of the networks.
        size_px: Side of their input.
        near: OOD sets that resemble the classes.
        far: OOD sets that do not.
        exposed: OOD sets like the images that rows with outliers are exposed to, and so shown to
            published networks alone.
        held_out: ID images whose errors count with those of `test`.
        is_whole: Whether there are training images of every class; else `classes.txt` names them.
    """

    folder: str
    num_classes: int
    size_px: int
    near: tuple[str, ...]
    far: tuple[str, ...]
    exposed: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ("calibration",)
    is_whole: bool = True

    @property
    def ood(self) -> tuple[str, ...]:
        """OOD sets that every row is shown."""
        return (*self.near, *self.far)


CIFAR10 = Images(
    "cifar10",
    10,
    32,
    near=("cifar100",),
    far=("textures", "characters", "scenes", "mnist", "fashion-mnist", "gaussian", "uniform"),
    exposed=("tiny-crop", "tiny-resize"),
    held_out=("calibration", "validation"),
)
IMAGENET = Images(
    "imagenet",
    1000,
    224,
    near=(),
    far=("textures", "trash", "gaussian", "uniform"),
    held_out=("train", "calibration"),
    is_whole=False,
)
