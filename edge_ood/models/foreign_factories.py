"""Networks that a function of the user's own makes: `package.module:function`.

The module is imported from the environment or the working directory, which runs the user's code.
The function is called with `num_classes=K` if it takes that, and with the parameters that were
given; those with a default that is a number, a truth value or text can be given. It returns a
module that maps normalised images (N, 3, S, S) to logits (N, K).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from edge_ood.errors import InputError
from edge_ood.files.own_code import imported, working_directory
from edge_ood.models import ModelFamily, WholeNetworks
from edge_ood.models._headless import HeadlessNetwork, check_headless
from edge_ood.registry import bind_to

_CLASSES = "num_classes"
_FEWEST_CLASSES = 2
_SIMPLE = (bool, int, float, str)


def foreign_trunk(name: str, **parameters: Any) -> HeadlessNetwork:
    """Untrained network of the user's own, its last linear layer replaced by our heads.

    Args:
        name: `package.module:function`.
        parameters: As `FAMILY.bind` completes them.

    Raises:
        InputError: If there is no such function, or it returns anything but a module that has a
            linear layer.

    Source: the user's own.
    """
    needed = _signature(name, _found(name)).parameters.get(_CLASSES)
    if needed is not None and needed.default is needed.empty:
        parameters = {_CLASSES: _FEWEST_CLASSES, **parameters}  # our heads have the right number
    return HeadlessNetwork(name, _made(name, parameters))


def _whole_network(name: str, num_classes: int, **parameters: Any) -> nn.Module:
    """The user's network with its own head, for K classes if the function can be told."""
    accepted = _signature(name, _found(name)).parameters.values()
    if any(p.name == _CLASSES or p.kind is p.VAR_KEYWORD for p in accepted):
        parameters = {_CLASSES: num_classes, **parameters}
    return _made(name, parameters)


def _bind(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    signature = _signature(name, _found(name))
    accepted = [p for p in signature.parameters.values() if _is_simple(p)]
    return bind_to(accepted, given, owner=name)


def _is_simple(parameter: inspect.Parameter) -> bool:
    """Whether a value can be given as text and kept in a document."""
    by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return by_name and parameter.name != _CLASSES and type(parameter.default) in _SIMPLE


def _found(name: str) -> Callable[..., Any]:
    factory = imported(name, "model", "a function of it that makes the network")
    module = name.partition(":")[0]
    if isinstance(factory, nn.Module) or not callable(factory):
        raise InputError(
            f"model {name!r} is of type {type(factory).__name__!r}, expected a function or class "
            "that makes the network",
            hint=f"def build({_CLASSES}): ... in {module}, and --model {module}:build",
        )
    made: Callable[..., Any] = factory
    return made


def _signature(name: str, factory: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"model {name!r} does not say what parameters it takes",
            hint="name a function that calls it",
        ) from error


def _made(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    factory = _found(name)
    try:
        _signature(name, factory).bind(**arguments)
    except TypeError as error:
        raise InputError(
            f"model {name!r} cannot be called with {', '.join(arguments) or 'nothing'}: {error}",
            hint=f"give every parameter but {_CLASSES} a default",
        ) from error
    with working_directory():
        network = factory(**arguments)
    if not isinstance(network, nn.Module):
        raise InputError(
            f"model {name!r} returned a value of type {type(network).__name__!r}, expected a "
            "torch.nn.Module",
            hint="end the function with 'return network'",
        )
    return network


FAMILY = ModelFamily(
    pattern="package.module:function",
    examples=("torchvision.models:mobilenet_v3_small",),
    answers=lambda name: ":" in name,
    trunk=foreign_trunk,
    source="the user's own code",
    bind=_bind,
    check=check_headless,
    whole=WholeNetworks(_whole_network),
    runs_code=True,
)
