"""A trained network as its owner describes it, and the preprocessing that follows from it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.models import WholeNetworks
from edge_ood.registry import Spec
from edge_ood.weights.pretrained_cfg import pretrained_preprocess

__all__ = ["NetworkSource", "settled_preprocess"]

RGB = tuple[float, float, float]

_NAMES = {
    "--image-size": "size_px",
    "--mean": "mean",
    "--std": "std",
    "--crop": "crop",
    "--interpolation": "interpolation",
}
_NEEDED = ("--image-size", "--mean", "--std")
"""What has to be given where nothing is published."""

_IMAGENET = "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"


@dataclass(frozen=True)
class NetworkSource:
    """A trained network as its owner describes it.

    Attributes:
        model: A name that `edge_ood.models` knows, or `package.module:function`.
        weights: Its trained weights; None for those that its publisher has trained.
        size_px: Side of its input; None for what published weights of that name were trained with,
            as for `mean` and `std`.
        mean: Per RGB channel, in units of [0, 1] pixel values.
        std: Per RGB channel, in the same units.
        resize: `center-crop` or `stretch`; None is the first where nothing else is published.
        crop: Share of the resized side that it sees; None is 1 where nothing is published for its
            size.
        interpolation: `bilinear` or `bicubic`; None is bilinear where nothing is published for its
            size.
    """

    model: Spec
    weights: Path | None
    size_px: int | None = None
    mean: RGB | None = None
    std: RGB | None = None
    resize: str | None = None
    crop: float | None = None
    interpolation: str | None = None


def settled_preprocess(
    source: NetworkSource, model: Spec, whole: WholeNetworks | None, network: nn.Module | None
) -> tuple[Preprocess, list[str], list[str]]:
    """What was given, completed by what published weights were trained with.

    Returns:
        The preprocessing, the options that were completed, and a note of that.
    """
    published, publisher = None, ""
    if whole is not None and whole.preprocess is not None:
        published = whole.preprocess(model.name, **model.parameters)
        publisher = f"{whole.publisher}'s published {model.name!r}"
    elif network is not None:
        published = pretrained_preprocess(network)
        publisher = f"the pretrained_cfg of {model.name!r}"
    absent = _absent(source)
    described = [name for name in absent if name in _NEEDED]
    if published is None and described:
        raise InputError(
            f"{', '.join(described)} of {model.name!r} missing, expected as in its training",
            hint=f"ImageNet's are {_IMAGENET}; a run's are in its config.json",
        )
    base = published or Preprocess(1)
    if source.size_px not in (None, base.size_px):  # trained anew, at another size
        base = replace(base, size_px=source.size_px, crop=1.0, interpolation="bilinear")
        absent = described
    settled = replace(
        base,
        resize=source.resize or base.resize,
        **{_NAMES[option]: value for option, value in _given(source).items() if value is not None},
    )
    if published is None or not absent:
        return settled, [], []
    return settled, absent, [f"as {publisher}: {_options(settled)}; give others if not so"]


def _options(settled: Preprocess) -> str:
    """The options that say the same."""
    mean, std = (",".join(f"{v:g}" for v in values) for values in (settled.mean, settled.std))
    return (
        f"--image-size {settled.size_px} --mean {mean} --std {std} --crop {settled.crop:g} "
        f"--interpolation {settled.interpolation}"
        + ("" if settled.resize == Preprocess.resize else f" --resize {settled.resize}")
    )


def _given(source: NetworkSource) -> dict[str, Any]:
    return {option: getattr(source, name) for option, name in _NAMES.items()}


def _absent(source: NetworkSource) -> list[str]:
    return [option for option, value in _given(source).items() if value is None]
