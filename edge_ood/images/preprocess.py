"""From a file or frame to the pixels a network sees: one rule for training, export and scoring.

Decoding rules, in order:

1. What a file is, its first bytes say; its name does not count. BMP, GIF, JPEG, PNG, PPM, TIFF and
   WebP are decoded, in any of their compressions that the installed Pillow knows.
2. Only the first frame of an animation, page of a TIFF or picture of an MPO is used.
3. A JPEG whose short side is at least four times the size needed is decoded at a reduced scale
   that leaves twice the size or more (`draft`).
4. Grey of 16 bits is divided by 257 and rounded down, of other depths likewise; colour of 16 bits
   loses its low byte; float grey goes from 0 to 1. Grey of an unknown range (32-bit, signed, float
   beyond 0 to 1) is refused, and so is grey of which one level would be left. Palettes are
   expanded; alpha is laid on white (a PNG's transparent grey below 8 bits is not) unless nothing
   would be seen; CMYK, Adobe's inverted one included, YCbCr and Lab become RGB by Pillow's
   conversion; grey is repeated. ICC profiles and gamma are ignored.
5. EXIF orientation is applied; EXIF and other metadata that are damaged or long are ignored.
6. Resizing is bilinear or bicubic, antialiased; at the right size nothing changes. With R for
   `resized_px`:
   - `center-crop` with `crop` 1: the central square is cut out and resized to R x R.
   - `center-crop` with `crop` below 1, as torchvision and timm do it: the image is resized until
     its short side is R and its long side floor(R * long / short), then R x R are cut out of the
     middle. Of a long side beyond 16 short ones only the middle is taken.
   - `stretch`: the image is resized to R x R.
7. The network sees the central `size_px` x `size_px` of that, all of it where `crop` is 1. With a
   share of 0.875 and 224 px that is what libraries call "short side to 256, central 224".

A file that is cut off, even one with an end marker, is refused, never filled up, as far as less
than decoding it twice can tell. So is one that would take more memory or time than any photograph:
over 89,478,485 pixels, over 100 scans of a JPEG, or more than its share of memory.

Normalisation is `(pixel / 255 - mean) / std` per channel.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from edge_ood.errors import InputError
from edge_ood.images.decoding.open_image import opened_rgb

__all__ = [
    "INTERPOLATIONS",
    "LARGEST_SIZE_PX",
    "LONGEST_SIDE",
    "RESIZE_POLICIES",
    "Preprocess",
]

RESIZE_POLICIES = ("center-crop", "stretch")

INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Pillow's filters by name; both widen as an image shrinks, which is what antialiasing means."""

LARGEST_SIZE_PX = 4096

LONGEST_SIDE = 16
"""How many short sides of an image are resized along the long one, where all of it would be."""

_ROUNDED_PX = 0.01
"""What a share that was rounded to six digits may take from the side that it stands for."""


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes network input.

    Attributes:
        size_px: Side of the square input, in pixels.
        mean: Per RGB channel, in units of [0, 1] pixel values.
        std: Per RGB channel, in the same units, > 0.
        resize: `center-crop` or `stretch`.
        draft: Decode large JPEGs at a reduced scale.
        crop: Share of the resized side that the network sees, in (0, 1]; 1 is the whole square.
        interpolation: `bilinear` or `bicubic`.

    Raises:
        InputError: If a field is out of range.
    """

    size_px: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)
    resize: str = "center-crop"
    draft: bool = True
    crop: float = 1.0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not 1 <= self.size_px <= LARGEST_SIZE_PX:
            raise InputError(f"image size {self.size_px} px, expected 1 to {LARGEST_SIZE_PX}")
        if self.resize not in RESIZE_POLICIES:
            raise InputError(f"resize policy {self.resize!r}, expected one of {RESIZE_POLICIES}")
        if self.interpolation not in INTERPOLATIONS:
            raise InputError(
                f"interpolation {self.interpolation!r}, expected one of {tuple(INTERPOLATIONS)}"
            )
        self._check_crop()
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(math.isfinite(v) for v in values):
                raise InputError(f"{name} is {values!r}, expected three finite numbers")
        if min(self.std) <= 0:
            raise InputError(f"std is {self.std!r}, expected three numbers > 0")

    def __str__(self) -> str:
        seen, resized = (f"{side} x {side} px" for side in (self.size_px, self.resized_px))
        part = "" if seen == resized else f" of {resized}"
        return f"{seen}{part}, {self.resize}, {self.interpolation}"

    def _check_crop(self) -> None:
        if not 0 < self.crop <= 1:
            raise InputError(
                f"crop share {self.crop}, expected more than 0 and at most 1",
                hint="the central 224 of 256 px is 0.875, the whole square 1",
            )
        if self.size_px > LARGEST_SIZE_PX * self.crop:
            raise InputError(
                f"crop share {self.crop:g} of {self.size_px} px resizes to "
                f"{self.size_px / self.crop:.0f} px, expected at most {LARGEST_SIZE_PX}",
                hint="the central 224 of 256 px is 0.875",
            )

    @property
    def resized_px(self) -> int:
        """R, the side that images are resized to before the central `size_px` are cut out."""
        return math.floor(self.size_px / self.crop + _ROUNDED_PX)

    @property
    def cuts_last(self) -> bool:
        """Whether images are resized before anything is cut off, rather than made square first."""
        return self.resize == "center-crop" and self.crop < 1

    @property
    def centre(self) -> slice:
        """Where along R pixels the network's part is; half a pixel goes to the even side."""
        start = self._centre_start(self.resized_px)
        return slice(start, start + self.size_px)

    def decode(self, payload: bytes, name: str = "image") -> NDArray[np.uint8]:
        """Decode one image file and resize it.

        Args:
            payload: The bytes of a file.
            name: What messages call it.

        Returns:
            uint8 array of shape (R, R, 3), RGB, R being `resized_px`.

        Raises:
            DataError: If the file is damaged, too large, no image or none that is decoded; its
                `status` is the word for a score table.
        """
        draft_px = self.resized_px if self.draft else None
        with opened_rgb(payload, name, draft_px=draft_px) as image:
            return self._resized(image)

    def fit(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize one decoded RGB frame (H, W, 3) to (R, R, 3), R being `resized_px`."""
        return self._resized(Image.fromarray(image))

    def normalise(
        self, images: NDArray[np.uint8], dtype: DTypeLike = np.float64
    ) -> NDArray[np.floating[Any]]:
        """Network input (N, 3, size_px, size_px) of uint8 images (N, R, R, 3), as resized."""
        images = images[:, self.centre, self.centre]
        mean, std = np.asarray(self.mean, dtype), np.asarray(self.std, dtype)
        scaled = (images.astype(dtype) / np.asarray(255, dtype) - mean) / std
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def to_json(self) -> dict[str, Any]:
        """A document that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Preprocess":
        """Read and check what `to_json` wrote; unknown keys are ignored.

        Raises:
            InputError: If a field is missing, of the wrong type or out of range.
        """
        try:
            return cls(
                size_px=_checked_int(document["size_px"]),
                mean=tuple(float(v) for v in document["mean"]),  # type: ignore[arg-type]  # length checked
                std=tuple(float(v) for v in document["std"]),  # type: ignore[arg-type]  # length checked
                resize=str(document["resize"]),
                draft=bool(document["draft"]),
                crop=float(document.get("crop", cls.crop)),
                interpolation=str(document.get("interpolation", cls.interpolation)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"preprocessing is damaged: {error!r}") from error

    def _resized(self, image: Image.Image) -> NDArray[np.uint8]:
        if self.resize == "center-crop":
            image = _middle(image, LONGEST_SIDE if self.cuts_last else 1)
        side, kernel = self.resized_px, INTERPOLATIONS[self.interpolation]
        if self.cuts_last:
            image = self._cut_resized(image, side, kernel)
        elif image.size != (side, side):
            image = image.resize((side, side), kernel)
        return np.asarray(image)

    def _cut_resized(self, image: Image.Image, side: int, kernel: Image.Resampling) -> Image.Image:
        """The R x R pixels around the network's part of the whole image, resized.

        Pillow reads beyond a box, so only what is cut out is computed. In one go it may take the
        vertical pass first, depending on the sides that are left.
        """
        width, height = image.size
        (left, right), (top, bottom) = (self._extent(s, min(width, height)) for s in image.size)
        narrow = image.resize((side, height), kernel, box=(left, 0, right, height))
        return narrow.resize((side, side), kernel, box=(0, top, side, bottom))

    def _extent(self, length: int, short: int) -> tuple[float, float]:
        """Where along a side of the image these R pixels start and end, in its own pixels."""
        side = self.resized_px
        resized = side * length // short
        start = self._centre_start(resized) - self.centre.start
        return start * length / resized, (start + side) * length / resized

    def _centre_start(self, length: int) -> int:
        return round((length - self.size_px) / 2)


def _middle(image: Image.Image, longest: int) -> Image.Image:
    """The image, and of a long side beyond so many short ones the middle."""
    limit = longest * min(image.size)
    if max(image.size) <= limit:
        return image
    width, height = (min(side, limit) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _checked_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected an integer, got {value!r}")
    return value
