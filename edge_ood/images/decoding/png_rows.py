"""Whether a PNG's data reach its last row: Pillow leaves what they do not reach as it was."""

from PIL import Image, ImageFile

from edge_ood.errors import DataError
from edge_ood.images.decoding.png_layout import has_all_rows

__all__ = ["load_png"]

# What hardly any row is made of; other modes have a row of zeros, which many pictures have.
_MARKS: dict[str, int | tuple[int, ...]] = {
    **dict.fromkeys(("L", "P"), 0xA5),
    "LA": (0xA5, 0x5A),
    "RGB": (0xA5, 0x5A, 0xC3),
    "RGBA": (0xA5, 0x5A, 0xC3, 0x3C),
}

_FEW_PIXELS = 64 * 64
"""Up to so many, counting the data takes less time than to mark a row."""


def load_png(image: ImageFile.ImageFile, payload: bytes, *, name: str) -> None:
    """Load a PNG that was opened.

    Of all but small ones the row that is decoded last is marked before. Only where the mark is
    still there afterwards are the data counted.

    Raises:
        DataError: If rows are missing.
    """
    width, height = image.size
    if [tile[1] for tile in image.tile] != [(0, 0, width, height)]:
        image.load()  # the first frame of an animation may be smaller
        return
    if width * height <= _FEW_PIXELS:
        image.load()
    elif not _is_marked_after_load(image):
        return
    if not has_all_rows(payload):
        raise DataError(
            f"cannot decode {name}: rows are missing in its data", hint="remove or repair it"
        )


def _is_marked_after_load(image: ImageFile.ImageFile) -> bool:
    """Load it, and say whether what its last row was before is still there."""
    width, height = image.size
    # Of an interlaced image the odd rows come last; if there are none, any row may be in part.
    last = height - 1 - (height % 2 if image.info.get("interlace") else 0)
    mark = Image.new(image.mode, (width, 1), _MARKS.get(image.mode, 0))
    canvas = Image.new(image.mode, image.size, None)
    canvas.paste(mark, (0, max(last, 0)))
    image.im = canvas.im
    image.load()
    return last < 0 or image.crop((0, last, width, last + 1)).tobytes() == mark.tobytes()
