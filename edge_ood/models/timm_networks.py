"""Classifiers of timm, by `timm/` and its own names, their last linear layer replaced."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from edge_ood.errors import ArtifactError, InputError, MissingDependencyError, UnknownNameError
from edge_ood.models import ModelFamily, WholeNetworks
from edge_ood.models._headless import HeadlessNetwork, check_headless

__all__ = ["timm_network"]

_PREFIX = "timm/"
_LOUD = ("huggingface_hub", "timm")


def timm_network(name: str) -> HeadlessNetwork:
    """Untrained trunk of a classifier of timm.

    Args:
        name: `timm/` and a name as `timm.list_models` spells it.

    Raises:
        InputError: If the classifier has no linear layer.
        UnknownNameError: If timm has no such name; the hint has the closest.
        MissingDependencyError: If timm is not installed.

    Source: timm.create_model, `pretrained=False`; layers and initialisation are its own.
    """
    return HeadlessNetwork(name, _created(name))


def _whole_network(name: str, num_classes: int) -> nn.Module:
    return _created(name, num_classes=num_classes)


def _published(name: str) -> Mapping[str, Tensor]:
    """The weights that timm publishes, from its cache or the network.

    Raises:
        ArtifactError: If there are none, or they cannot be had here.
    """
    timm = _timm()
    config: Any = _created(name).pretrained_cfg
    place = config.get("hf_hub_id")
    url = f"https://huggingface.co/{place}" if place else config.get("url")
    if not url:
        raise ArtifactError(
            f"timm publishes no weights of {name!r}",
            hint="leave --weights out, or name one of timm.list_pretrained()",
        )
    try:
        with _quiet():
            trained: nn.Module = timm.create_model(name.removeprefix(_PREFIX), pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ArtifactError(
            f"the weights of {name!r} are neither in timm's cache nor can they be fetched from "
            f"{url} ({type(error).__name__})",
            hint="with a network once, or get model.safetensors from there and give it: "
            "--weights FILE",
        ) from error
    return trained.state_dict()


def _created(name: str, **arguments: int) -> nn.Module:
    timm, known = _timm(), name.removeprefix(_PREFIX)
    if not timm.is_model(known):
        raise UnknownNameError("model", name, [_PREFIX + each for each in timm.list_models()])
    try:
        network: nn.Module = timm.create_model(known, pretrained=False, **arguments)
    except RuntimeError as error:  # of a tag behind the name
        raise InputError(
            f"model {name!r}: {str(error).partition(chr(10))[0]}",
            hint="timm.list_pretrained() has all names with their tags",
        ) from error
    return network


def _timm() -> ModuleType:
    try:
        import timm  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise MissingDependencyError("a model of timm", error.name or "timm", "timm") from error
    found: ModuleType = timm
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what is logged of every attempt to reach the network; the error says it once."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


FAMILY = ModelFamily(
    pattern="timm/NAME",
    examples=("timm/mobilenetv3_small_050", "timm/efficientnet_lite0", "timm/resnet18"),
    answers=lambda name: name.startswith(_PREFIX),
    trunk=timm_network,
    source="timm, any classifier that ends in a linear layer",
    check=check_headless,
    whole=WholeNetworks(_whole_network, published=_published, publisher="timm"),
)
