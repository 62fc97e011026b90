"""Pictures in memory, from Pillow, NumPy or a tensor library, as frames of 8-bit RGB."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.errors import DataError, InputError, ShapeError
from edge_ood.images.decoding.upright_rgb import PILLOW_DAMAGE, upright_rgb

__all__ = ["frames_of", "is_picture"]

_WHITE = 255
_RGB = 3
_ROUNDING = 0.01
"""How far beyond [0, 1] an interpolation of pixels may lead."""

_CHANNELS_FIRST = "channels go last: numpy.moveaxis(images, -3, -1)"
_GREY = "numpy.stack([images] * 3, axis=-1) makes RGB of grey images"
_OF_CHANNELS = {
    1: "numpy.repeat(images, 3, axis=-1) makes RGB of grey images",
    4: "images[..., :3] leaves out the alpha channel; a Pillow image is laid on white",
}


def is_picture(item: Any) -> bool:
    """Whether `frames_of` takes it: a Pillow image, or what NumPy takes for an array."""
    if isinstance(item, str):  # of NumPy, too
        return False
    return isinstance(item, Image.Image) or hasattr(item, "__array__")


def frames_of(picture: Any) -> NDArray[np.uint8]:
    """One picture or a stack of them as frames (N, H, W, 3), RGB; uint8 pixels are not copied.

    Args:
        picture: A Pillow image of any mode, decoded as its file would be, EXIF orientation
            included; an array (H, W, 3) or (N, H, W, 3); or a tensor of another library in the
            memory of the CPU, with channels last or first. Pixels are uint8, or floats in [0, 1],
            which are rounded to the nearest of 0, 1/255, ..., 1.

    Raises:
        DataError: If a Pillow image cannot be decoded, or is of a kind that is not.
        InputError: If floats are beyond [0, 1] or NaN, or a tensor is elsewhere.
        ShapeError: If it has another shape or dtype, or channels might be first or last.
    """
    if isinstance(picture, Image.Image):
        array = _decoded(picture)
    elif isinstance(picture, np.ndarray):
        array = picture
    else:
        array = _channels_last(_in_memory(picture))
    frames = array[None] if array.ndim == 3 else array
    is_rgb = frames.ndim == 4 and frames.shape[3] == _RGB and frames.size
    if not is_rgb or (frames.dtype != np.uint8 and frames.dtype.kind != "f"):
        raise _refused(array)
    return frames if frames.dtype == np.uint8 else _rounded(frames)


def _decoded(image: Image.Image) -> NDArray[np.uint8]:
    try:
        return np.asarray(upright_rgb(image, "the image"))
    except PILLOW_DAMAGE as error:  # Pillow reads an opened file only now
        raise DataError(
            f"cannot decode the image: {str(error) or repr(error)}",
            hint="image.load() before its file is closed; a damaged file is to be repaired",
        ) from error


def _in_memory(tensor: Any) -> NDArray[Any]:
    try:
        return np.asarray(tensor)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor elsewhere, or with a gradient
        raise InputError(
            f"cannot score this {type(tensor).__name__}: {str(error).partition(chr(10))[0]}",
            hint="tensor.detach().cpu() is an array in memory, .float() one that NumPy knows",
        ) from error


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """A view (..., H, W, 3) of a tensor (..., 3, H, W); any other is returned as it is."""
    if array.ndim not in (3, 4) or array.shape[-3] != _RGB:
        return array
    if array.shape[-1] == _RGB:
        raise ShapeError(
            f"a tensor of shape {array.shape} may have its channels first or last",
            hint="NumPy arrays have them last: tensor.movedim(-3, -1).numpy(), or tensor.numpy()",
        )
    return np.moveaxis(array, -3, -1)


def _rounded(frames: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = frames.min(), frames.max()
    # Written so that NaN is refused, too.
    if not (low >= 0 and high <= 1):
        found = "with NaN" if np.isnan(low) else f"from {low:g} to {high:g}"
        raise InputError(
            f"pixels are {frames.dtype} {found}, expected [0, 1] of floats",
            hint=_range_hint(float(low), float(high)),
        )
    scaled = frames * _WHITE
    levels: NDArray[np.uint8] = np.rint(scaled, out=scaled).astype(np.uint8)
    return levels


def _range_hint(low: float, high: float) -> str:
    if math.isnan(low):
        return "find the images with numpy.isnan(images)"
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return "images.clip(0, 1) takes off what an interpolation added"
    if low < 0:
        return "give pixels before they are normalised; the file normalises them itself"
    return "of pixels from 0 to 255 give images.astype(numpy.uint8), or images / 255"


def _refused(array: NDArray[Any]) -> ShapeError:
    return ShapeError(
        f"images are {array.dtype} {array.shape}, expected (N, H, W, 3) or (H, W, 3), RGB, "
        "of uint8 or of floats in [0, 1]",
        hint=_hint(array),
    )


def _hint(array: NDArray[Any]) -> str:
    """What to do about the first thing that is wrong."""
    if not array.size:
        return "no side may be 0"
    last = array.shape[-1] if array.ndim else 0
    if array.ndim not in (3, 4):
        return _GREY if array.ndim == 2 else "one array for all images of a size, or a list"
    if last == _RGB:
        return "convert pixels to uint8 from 0 to 255, or to floats from 0 to 1"
    return _CHANNELS_FIRST if array.shape[-3] == _RGB else _OF_CHANNELS.get(last, _GREY)
