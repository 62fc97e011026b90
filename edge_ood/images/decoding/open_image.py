"""Decoding one image file under the limits and rules that hold for every image."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from edge_ood.errors import DataError
from edge_ood.images.decoding.jpeg_layout import check_jpeg_layout
from edge_ood.images.decoding.signatures import DECODED_FORMATS, SIGNATURE_BYTES, check_is_decoded
from edge_ood.images.decoding.truncation import refusing_truncated
from edge_ood.images.decoding.upright_rgb import PILLOW_DAMAGE, upright_rgb

__all__ = ["MAX_PIXELS", "opened_rgb"]

MAX_PIXELS = 89_478_485
"""Largest image that is decoded, in pixels: Pillow's own limit against decompression bombs."""

# Our own limit, checked before any pixel is decoded, replaces Pillow's warning at the same size.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Odd metadata beside sound pixels is nothing that a user could act on.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# What phones write beside depth maps and gain maps is one JPEG after the other.
_JPEG_KINDS = ("JPEG", "MPO")


@contextmanager
def opened_rgb(payload: bytes, name: str, *, draft_px: int | None = None) -> Iterator[Image.Image]:
    """Decode one image file to upright 8-bit RGB, by rules 1 to 5 of `edge_ood.images.preprocess`.

    What goes wrong with the image inside the block is a `DataError`, too.

    Args:
        payload: The bytes of a file.
        name: What messages call it.
        draft_px: Decode a JPEG at a reduced scale that leaves its short side twice this, or more;
            None for full size.

    Raises:
        DataError: If the file is damaged, too large, no image or none that is decoded; its
            `status` is the word for a score table.
    """
    check_is_decoded(payload[:SIGNATURE_BYTES], name)
    try:
        with (
            refusing_truncated(),
            Image.open(io.BytesIO(payload), formats=DECODED_FORMATS) as image,
        ):
            if image.format in _JPEG_KINDS:
                check_jpeg_layout(payload, name)
            _load(image, name, draft_px)
            yield upright_rgb(image, name)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, str(error)) from error
    except MemoryError as error:
        raise _too_large(name, "there is not enough memory") from error
    except UnidentifiedImageError as error:
        raise _damaged(name, "its header is damaged, or of an unusual kind") from error
    except PILLOW_DAMAGE as error:
        raise _damaged(name, str(error) or repr(error)) from error


def _load(image: Image.Image, name: str, draft_px: int | None) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width} x {height} pixels, at most {MAX_PIXELS} are decoded")
    if draft_px is not None and image.format in _JPEG_KINDS:
        image.draft(image.mode, (2 * draft_px, 2 * draft_px))
    image.load()


def _damaged(name: str, reason: str) -> DataError:
    return DataError(f"cannot decode {name}: {reason}", hint="remove or repair it")


def _too_large(name: str, reason: str) -> DataError:
    return DataError(f"{name} is too large: {reason}", hint="scale it down", status="too-large")
