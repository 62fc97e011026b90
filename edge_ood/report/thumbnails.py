"""Small pictures that stand in a page itself, as data URIs."""

import base64
import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.files.stored import AnyImage
from edge_ood.images.small_pictures import fitted, small_picture

__all__ = ["Thumb", "thumbnail", "thumbnail_of"]

_SIDE_PX = 96
_JPEG_QUALITY = 80


class Thumb(NamedTuple):
    """A picture with its caption, for the macro `thumb_strip`.

    Attributes:
        image: A data URI; None shows that the picture cannot be read.
        name: What the picture is, such as its path: the alternative text, and a tooltip.
        lines: Caption, a few words a line.
        is_marked: Whether it stands out, as a flagged image does.
    """

    image: str | None
    name: str
    lines: tuple[str, ...]
    is_marked: bool = False


def thumbnail(path: AnyImage, *, side_px: int = _SIDE_PX) -> str | None:
    """The whole picture, upright, as a data URI; its longer side is at most `side_px`.

    None where the file is no image that is decoded, or is gone.
    """
    image = small_picture(path, side_px)
    return None if image is None else _data_uri(image)


def thumbnail_of(pixels: NDArray[np.uint8], *, side_px: int = _SIDE_PX) -> str:
    """The same of pixels, uint8 (H, W, 3), RGB."""
    return _data_uri(fitted(Image.fromarray(pixels), side_px))


def _data_uri(image: Image.Image) -> str:
    """As JPEG or PNG, whichever is smaller: photographs are the one, drawings the other."""
    files = [("jpeg", _file(image, "JPEG", quality=_JPEG_QUALITY, optimize=True))]
    files.append(("png", _file(image, "PNG", optimize=True)))
    kind, content = min(files, key=lambda file: len(file[1]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    # A new image has none of the metadata of the file that this one came from.
    bare = Image.frombytes("RGB", image.size, image.tobytes())
    stream = io.BytesIO()
    bare.save(stream, kind, **options)
    return stream.getvalue()
