"""From a decoded image of any mode to 8-bit RGB, the right way up."""

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.tiff_layout import tiff_tag

__all__ = ["PILLOW_DAMAGE", "upright_rgb"]

PILLOW_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""Pillow's plugins report damage by any of these, depending on the format and the place."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SUBFILE_TAG, _BITS_TAG, _POLARITY_TAG, _SAMPLE_FORMAT_TAG = 254, 258, 262, 339
_IS_PREVIEW, _WHITE_IS_ZERO, _IS_SIGNED = 1, 0, 2
_MOST_BITS = 16


def upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """The image as rules 3 and 4 of `edge_ood.images.preprocess` say.

    Raises:
        DataError: If it is a preview, the range of its grey values is not known, or nothing of it
            is to be seen.
    """
    if tiff_tag(image, _SUBFILE_TAG, default=0) & _IS_PREVIEW:
        raise _unsupported(f"{name} begins with a preview, as camera raw does", "it to PNG or JPEG")
    if tiff_tag(image, _SAMPLE_FORMAT_TAG, default=1) == _IS_SIGNED:
        raise _unknown_range(name)
    transpose = _transpose(image)
    rgb = _rgb(image, name)
    return rgb if transpose is None else rgb.transpose(transpose)


def _transpose(image: Image.Image) -> Image.Transpose | None:
    """What the EXIF orientation asks for; damaged EXIF says nothing about the pixels."""
    try:
        # Not ImageOps.exif_transpose: it writes all EXIF anew and fails on tags it cannot write.
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except PILLOW_DAMAGE:
        return None


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_eight_bit_grey(image, name)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getbbox(alpha_only=True) is None and _varies(image):
            raise _unsupported(
                f"{name} has a picture that is transparent everywhere",
                "it to RGB, without transparency",
            )
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    # Of an RGB image, Pillow would make a copy: a twentieth of the time to decode a photograph.
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bit_grey(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """Grey of 9 to 16 bits or of float32, as (H, W) between 0 and 255."""
    values, largest = np.asarray(image), _largest_grey(image, name)
    # Written so that NaN is refused, too.
    if not (values.min() >= 0 and values.max() <= largest):
        raise _unsupported(
            f"{name} has grey values from {values.min():g} to {values.max():g}, "
            f"expected 0 to {largest:g}",
            "its values to that range",
        )
    is_float = image.mode == "F"
    scaled = np.rint(values * 255) if is_float else values.astype(np.int64) * 255 // largest
    grey: NDArray[np.uint8] = scaled.astype(np.uint8)
    if tiff_tag(image, _POLARITY_TAG, default=1) == _WHITE_IS_ZERO:
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    if values.min() < values.max() and grey.min() == grey.max():
        raise _unsupported(
            f"{name} has grey values from {values.min():g} to {values.max():g} of {largest:g}, "
            "which are all one level of 8 bits",
            "its values to the whole range",
        )
    return grey


def _largest_grey(image: Image.Image, name: str) -> int:
    """What stands for white."""
    if image.mode == "F":
        return 1
    if image.mode == "I" and image.format == "TIFF":
        raise _unknown_range(name)
    return (1 << min(_MOST_BITS, tiff_tag(image, _BITS_TAG, default=_MOST_BITS))) - 1


def _unknown_range(name: str) -> DataError:
    return _unsupported(f"{name} has signed or 32-bit grey values", "it to 8 or 16 bits")


def _varies(image: Image.Image) -> bool:
    """Whether an RGBA image has more than one colour, visible or not."""
    return any(band.getextrema()[0] != band.getextrema()[1] for band in image.split()[:3])


def _unsupported(message: str, what: str) -> DataError:
    return DataError(message, hint=f"convert {what}", status="unsupported")
