"""What networks of timm say about the images that their weights were trained with."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess

__all__ = ["pretrained_preprocess"]

_RESIZE = {"center": "center-crop", "squash": "stretch"}


def pretrained_preprocess(network: nn.Module) -> Preprocess | None:
    """Preprocessing by the attribute `pretrained_cfg`, or None where there is none that we know.

    Args:
        network: Anything; nothing of it is called.

    Source: timm.data.resolve_data_config: `input_size`, `mean`, `std`, `crop_pct`, `crop_mode` and
    `interpolation`, with its defaults.
    """
    config = getattr(network, "pretrained_cfg", None)
    if not isinstance(config, Mapping) or "input_size" not in config:
        return None
    try:
        return _read(config)
    except (InputError, KeyError, TypeError, ValueError):  # another library's, or a padded crop
        return None


def _read(config: Mapping[str, Any]) -> Preprocess:
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:  # RGB
        raise ValueError(config["input_size"])
    red, green, blue = map(float, config.get("mean") or (0.485, 0.456, 0.406))
    red_std, green_std, blue_std = map(float, config.get("std") or (0.229, 0.224, 0.225))
    return Preprocess(
        int(height),
        (red, green, blue),
        (red_std, green_std, blue_std),
        resize=_RESIZE[config.get("crop_mode") or "center"],
        crop=float(config.get("crop_pct") or 0.875),
        interpolation=str(config.get("interpolation") or "bilinear"),
    )
