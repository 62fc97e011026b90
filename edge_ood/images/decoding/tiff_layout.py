"""What a TIFF says about its image: tags, and which part of it each strip or tile holds."""

from PIL import Image, TiffImagePlugin

from edge_ood.errors import DataError

__all__ = ["check_tiff", "tiff_tag"]

_WIDTH_TAG, _HEIGHT_TAG, _PLANES_TAG = 256, 257, 284
_IS_PLANES = 2


def tiff_tag(image: Image.Image, number: int, *, default: int) -> int:
    """A tag that holds a whole number, or the first of several; other formats have none."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return default
    value = image.tag_v2.get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)


def check_tiff(image: Image.Image, name: str) -> None:
    """Refuse a TIFF, before it is loaded, whose strips or tiles are not all listed.

    Pillow would leave black what is missing. Images of other formats pass.

    Raises:
        DataError: With the status `unreadable`.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    corner = tuple(tiff_tag(image, number, default=0) for number in (_WIDTH_TAG, _HEIGHT_TAG))
    planes = len(image.getbands()) if tiff_tag(image, _PLANES_TAG, default=1) == _IS_PLANES else 1
    # They are listed in order, so the last of each plane is there only if all of them are.
    last = [tile for tile in image.tile if tile[1] is not None and tile[1][2:] == corner]
    is_listed = all(tile[0] != "libtiff" for tile in image.tile)
    if is_listed and len(last) < planes:
        raise DataError(
            f"cannot decode {name}: strips or tiles are missing", hint="remove or repair it"
        )
