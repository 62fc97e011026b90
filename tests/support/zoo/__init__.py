"""Classifiers of many libraries, each built small and with random weights, taught four classes."""

from zoo import (
    hugging_face,
    jax_networks,
    keras_networks,
    light_networks,
    paddle_networks,
    precisions,
    sklearn_networks,
    timm_networks,
    torchvision_networks,
    ultralytics_networks,
)
from zoo.case import Case

__all__ = ["CASES"]

_MODULES = (
    torchvision_networks,
    timm_networks,
    hugging_face,
    ultralytics_networks,
    keras_networks,
    jax_networks,
    paddle_networks,
    sklearn_networks,
    light_networks,
    precisions,
)

CASES: tuple[Case, ...] = tuple(case for module in _MODULES for case in module.CASES)
