"""Pictures made small, to be looked at: whole, upright, and None for what is no image."""

from PIL import Image

from edge_ood.errors import DataError
from edge_ood.files.stored import AnyImage
from edge_ood.images.decoding.image_file import image_payload
from edge_ood.images.decoding.open_image import opened_rgb

__all__ = ["fitted", "small_picture"]


def small_picture(path: AnyImage, side_px: int) -> Image.Image | None:
    """The picture of a file, fitted; None where it is no image that is decoded, or is gone."""
    try:
        with (
            image_payload(path) as payload,
            opened_rgb(payload, f"'{path}'", draft_px=side_px) as image,
        ):
            return fitted(image, side_px)
    except DataError:
        return None


def fitted(image: Image.Image, side_px: int) -> Image.Image:
    """The whole picture, its longer side `side_px`, or the largest multiple of its own below."""
    longest = max(image.size)
    if longest <= side_px:
        # A viewer would blur the pixels of a tiny picture.
        factor = side_px // longest
        width, height = image.size
        return image.resize((factor * width, factor * height), Image.Resampling.NEAREST)
    size = [max(1, round(side * side_px / longest)) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=2.0)
