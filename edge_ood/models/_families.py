"""Model families: which file answers to a name, and the trunk that it builds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.images.preprocess import Preprocess
from edge_ood.models._classifier import Trunk
from edge_ood.registry import Registry, Spec, bind_parameters, parse_spec

__all__ = [
    "FAMILIES",
    "ModelFamily",
    "WholeNetworks",
    "bind_model",
    "build_trunk",
    "family_of",
    "model_families",
]

FAMILIES = Registry("edge_ood.models", kind="model family", attribute="FAMILY")


@dataclass(frozen=True)
class WholeNetworks:
    """Networks as they are known outside edge-ood, under their own names and with their own head.

    Attributes:
        build: `build(name, num_classes, **parameters)` gives an untrained network that maps
            normalised images (N, 3, S, S) to logits (N, K).
        preprocess: `preprocess(name, **parameters)` is what published weights were trained with;
            None where nobody knows.
        renamed: Published weights under the names that the network gives them, without those
            that only training needs.
        published: `published(name, **parameters)` is the state that its publisher has trained,
            from a cache or the network, or an `ArtifactError`; None where nobody publishes any.
        publisher: Who that is.
    """

    build: Callable[..., nn.Module]
    preprocess: Callable[..., Preprocess] | None = None
    renamed: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict
    published: Callable[..., Mapping[str, Tensor]] | None = None
    publisher: str = ""


@dataclass(frozen=True)
class ModelFamily:
    """Networks that one file can build.

    Attributes:
        pattern: What its names look like, for people.
        examples: Names that exist, for listings and for the closest match to a misspelt one.
        answers: `answers(name)` says whether the name belongs to this family.
        trunk: `trunk(name, **parameters)` builds an untrained network without its linear head.
        source: Paper and table.
        smallest_px: Least image side that makes sense: one pixel of the last feature map. What the
            layers themselves refuse is found out by trying.
        bind: `bind(name, parameters)` completes and converts parameters; by the signature of
            `trunk` if None.
        check: `check(name, trunk, size_px, rows)` refuses images that the trunk cannot be trained
            on; shapes alone are tried if None.
        whole: How networks of this family are built with a head of their own, for weights that
            were trained elsewhere; None where there are none.
        runs_code: Whether its names are code that lies outside edge-ood.
    """

    pattern: str
    examples: tuple[str, ...]
    answers: Callable[[str], bool]
    trunk: Callable[..., Trunk]
    source: str
    smallest_px: int = 1
    bind: Callable[[str, Mapping[str, Any]], dict[str, Any]] | None = None
    check: Callable[[str, Trunk, int, int], None] | None = None
    whole: WholeNetworks | None = None
    runs_code: bool = False


def model_families() -> list[ModelFamily]:
    """Every family, in the order of its file name."""
    return [FAMILIES.get(name) for name in FAMILIES.names()]


def family_of(name: str) -> ModelFamily:
    """The family that answers to a name.

    Raises:
        UnknownNameError: If none does; the hint has the closest name.
    """
    families = model_families()
    for family in families:
        if family.answers(name):
            return family
    known = [example for family in families for example in family.examples]
    error = UnknownNameError("model", name, known)
    if error.closest is None:  # some hundred names are no hint
        error = UnknownNameError("model", name, [family.examples[0] for family in families])
    raise error


def bind_model(model: str | Spec) -> Spec:
    """The model's name with all its parameters, given or default, converted to their types.

    Args:
        model: For example `wrn-40-2:dropout=0.2`, or the same already parsed.

    Raises:
        UnknownNameError: If no family answers to the name, or a parameter does not exist.
        InputError: If a parameter has the wrong type, or the name is code that only a file asks
            for: it runs on the user's own word alone.
    """
    spec = parse_spec(model) if isinstance(model, str) else model
    family = family_of(spec.name)
    if family.runs_code and spec.origin:
        raise InputError(
            f"'{spec.origin}' names code to run, {spec.name!r}, and files may come from anybody",
            hint="repeat the --model that it was trained with, or pass --trust if it is yours",
        )
    if family.bind is not None:
        return Spec(spec.name, family.bind(spec.name, spec.parameters))
    return Spec(spec.name, bind_parameters(family.trunk, spec.parameters, owner=spec.name))


def build_trunk(model: str | Spec) -> Trunk:
    """An untrained trunk; its weights are drawn from torch's global generator.

    Raises:
        UnknownNameError: If the model or a parameter does not exist; the hint has the closest.
        InputError: If a parameter or a number inside the name is out of range.
    """
    spec = bind_model(model)
    return family_of(spec.name).trunk(spec.name, **spec.parameters)
