"""Decoding one image file under the limits and rules that hold for every image."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from PIL import Image, UnidentifiedImageError

from edge_ood.errors import DataError
from edge_ood.images.decoding.jpeg_layout import check_jpeg_layout
from edge_ood.images.decoding.jpeg_scan import load_jpeg
from edge_ood.images.decoding.memory import PIXELS, decoding_bytes
from edge_ood.images.decoding.png_layout import check_png_data
from edge_ood.images.decoding.png_rows import load_png
from edge_ood.images.decoding.remarks import with_fewer_remarks
from edge_ood.images.decoding.signatures import DECODED_FORMATS, SIGNATURE_BYTES, check_is_decoded
from edge_ood.images.decoding.tiff_layout import check_tiff
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
# What plugins and decoders say.
_OUT_OF_MEMORY = "out of memory"
_UNUSUAL = re.compile(
    "unknown pixel mode|cannot handle .*-(bit layers|layer images)|nsupported BMP (compr|bitf)"
)


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
        with refusing_truncated(), ExitStack() as held:
            yield _first_decoded(payload, name, draft_px, held)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, str(error)) from error
    except MemoryError as error:
        raise _too_large(name, str(error) or "there is not enough memory") from error
    except PILLOW_DAMAGE as error:
        raise _refused(payload, name, error) from error


def _first_decoded(payload: bytes, name: str, draft_px: int | None, held: ExitStack) -> Image.Image:
    """The image, if need be without some of what stands beside it."""
    try:
        return _decoded(payload, name, draft_px, held)
    except PILLOW_DAMAGE:
        for fewer in with_fewer_remarks(payload):
            held.close()  # the memory that the last try took
            with suppress(*PILLOW_DAMAGE):
                return _decoded(fewer, name, draft_px, held)
        raise


def _decoded(payload: bytes, name: str, draft_px: int | None, held: ExitStack) -> Image.Image:
    """The image, whose memory is counted until `held` is closed."""
    file = io.BytesIO(payload)
    image = held.enter_context(Image.open(file, formats=DECODED_FORMATS))
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width} x {height} pixels, at most {MAX_PIXELS} are decoded")
    is_jpeg = image.format in _JPEG_KINDS
    if draft_px is not None and is_jpeg:
        image.draft(image.mode, (2 * draft_px, 2 * draft_px))
    held.enter_context(PIXELS.reserved(decoding_bytes(image, width * height)))
    if is_jpeg:
        load_jpeg(image, file, layout=check_jpeg_layout(payload, name), name=name)
    elif image.format == "PNG":
        check_png_data(payload, name)
        load_png(image, payload, name=name)
    else:
        check_tiff(image, name)
        image.load()
    return upright_rgb(image, name)


def _refused(payload: bytes, name: str, error: Exception) -> DataError:
    """What Pillow cannot open or decode: of a kind that it does not know, or damaged."""
    is_unidentified = isinstance(error, UnidentifiedImageError)
    reason = _plugins_reason(payload) if is_unidentified else str(error) or repr(error)
    if reason.startswith(_OUT_OF_MEMORY):
        return _too_large(name, reason)
    if _UNUSUAL.search(reason):
        return DataError(
            f"{name} is of an unusual kind: {reason}",
            hint="convert it to PNG or JPEG",
            status="unsupported",
        )
    if is_unidentified:
        reason = "its header is damaged, or of an unusual kind"
    return DataError(f"cannot decode {name}: {reason}", hint="remove or repair it")


def _plugins_reason(payload: bytes) -> str:
    """What the plugin says whose file it is; `Image.open` keeps it for itself."""
    for kind in DECODED_FORMATS:
        factory, accepts = Image.OPEN[kind]
        if accepts is not None and accepts(payload[:SIGNATURE_BYTES]) is True:
            try:
                factory(io.BytesIO(payload), "")
            except PILLOW_DAMAGE as error:
                return str(error)
    return ""


def _too_large(name: str, reason: str) -> DataError:
    return DataError(f"{name} is too large: {reason}", hint="scale it down", status="too-large")
