"""Registries: names are file names, and one syntax gives a name its parameters.

A registry is a package whose public modules each end in one declarative line such as
`HEAD = ScoreHead(...)`. Names are listed without importing anything, so `--help` stays light.
"""

import contextlib
import importlib
import importlib.util
import inspect
import math
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Annotated, Any, Literal, get_args, get_origin

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.files.own_code import imported

__all__ = [
    "Bound",
    "Count",
    "Fraction",
    "NonNegative",
    "Positive",
    "Registry",
    "Spec",
    "bind_parameters",
    "bind_to",
    "parse_spec",
    "parse_specs",
]


_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_FACTORY = re.compile(r"(?P<module>[^\W\d][\w.]*):[^\W\d]\w*\s*(?=[:,]|$)")


@dataclass(frozen=True)
class Bound:
    """Limits of a number; annotates a parameter, `Annotated[float, Bound(0)]`."""

    least: float
    excluded: bool = False
    most: float = math.inf

    def admits(self, value: float) -> bool:
        """Whether the value is within the limits."""
        reaches = value > self.least if self.excluded else value >= self.least
        return reaches and value <= self.most

    def __str__(self) -> str:
        if self.most < math.inf:
            return f"{self.least:g} to {self.most:g}"
        return f"a number above {self.least:g}" if self.excluded else f"{self.least:g} or more"


Count = Annotated[int, Bound(0)]
Fraction = Annotated[float, Bound(0, most=1)]
NonNegative = Annotated[float, Bound(0)]
Positive = Annotated[float, Bound(0, excluded=True)]


@dataclass(frozen=True)
class Spec:
    """A registered name with the parameters that a caller gave it, as text.

    Attributes:
        name: Of a registry, or of a function of the user's own.
        parameters: By name.
        origin: The file that says so; empty where the user does. A name that a file brought is
            data: it never runs code of its own, see `edge_ood.training.trust`.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    origin: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        given = [f"{name}={value}" for name, value in self.parameters.items()]
        return f"{self.name}:{','.join(given)}" if given else self.name


class Registry:
    """The public modules of one package, each offering one object under the same attribute."""

    def __init__(
        self,
        package: str,
        *,
        kind: str,
        attribute: str,
        listing: str = "",
        separator: str = "_",
    ) -> None:
        self._package = package
        self._kind = kind
        self._attribute = attribute
        self._listing = listing
        self._separator = separator
        self._added: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Sorted names: the file names, their words joined by the package's `separator`.

        The package is found without running it, so that a list of objectives needs no torch.
        """
        package = importlib.util.find_spec(self._package)
        assert package is not None, self._package
        folders = package.submodule_search_locations
        files = (m.name for m in pkgutil.iter_modules(folders) if not m.name.startswith("_"))
        return sorted([*(file.replace("_", self._separator) for file in files), *self._added])

    def take_in(self, spec: Spec) -> Spec:
        """A name of this registry; `package.module:NAME` is imported, and is one from then on.

        It runs the user's own code, so nothing but the user's own word is handed to it.

        Raises:
            InputError: If there is no such thing, it is something else, or its name is taken.
        """
        if ":" not in spec.name:
            return spec
        kind = type(self.get(self.names()[0]))
        end = f"{self._attribute} = {kind.__name__}(...)"
        found = imported(spec.name, self._kind, f"the {self._attribute} that it ends in")
        if not isinstance(found, kind):
            raise InputError(
                f"{self._kind} {spec.name!r} is of type {type(found).__name__!r}, expected a "
                f"{kind.__name__}",
                hint=f"end the module with {end}",
            )
        known = self._added.get(found.name)
        if not _NAME.fullmatch(found.name) or (found.name in self.names() and known is not found):
            raise InputError(
                f"{self._kind} {spec.name!r} is called {found.name!r}, expected a name of small "
                "letters, digits and underscores that no other has",
                hint=f"{end[:-4]}(name=...)",
            )
        self._added[found.name] = found
        return replace(spec, name=found.name)

    def get(self, name: str) -> Any:
        """The object of that name; `-` and `_` are interchangeable.

        Raises:
            UnknownNameError: If no file has that name; the hint carries the closest.
        """
        if name in self._added:
            return self._added[name]
        known = self.names()
        module_name = name.replace("-", "_")
        if module_name.replace("_", self._separator) not in known:
            raise UnknownNameError(self._kind, name, known, listing=self._listing)
        return getattr(self._load(module_name), self._attribute)

    def _load(self, module_name: str) -> ModuleType:
        return importlib.import_module(f"{self._package}.{module_name}")


def parse_specs(text: str) -> list[Spec]:
    """Parse `energy,odin:temperature=1000,epsilon=0.0014` into names with parameters.

    A piece with `=` and no `:` before it belongs to the name on its left. A name may be that of the
    user's own code, `package.module:NAME`, its parameters behind a further colon: a word after a
    colon that no `=` follows is no parameter.

    Raises:
        InputError: If a piece is empty, a parameter stands before any name, or one repeats.
    """
    specs: list[tuple[str, dict[str, str]]] = []
    for piece in (part.strip() for part in text.split(",")):
        factory = _FACTORY.match(piece)
        module = f"{factory['module']}:" if factory else ""
        name, colon, rest = piece.removeprefix(module).partition(":")
        if "=" in name:
            name, colon, rest = "", "", piece
        if name:
            specs.append((module + name.strip(), {}))
        if not piece or not specs or (colon and not (name and rest)):
            raise InputError(
                f"cannot read {text!r}: empty name or parameter",
                hint="write NAME,NAME:parameter=value,parameter=value",
            )
        if rest:
            _add_parameter(specs[-1][1], rest, text)
    return [Spec(name, parameters) for name, parameters in specs]


def parse_spec(text: str) -> Spec:
    """Parse exactly one name with parameters, as `parse_specs` does."""
    specs = parse_specs(text)
    if len(specs) != 1:
        raise InputError(f"expected one name, got {len(specs)} in {text!r}")
    return specs[0]


def _add_parameter(parameters: dict[str, str], piece: str, text: str) -> None:
    key, equals, value = (part.strip() for part in piece.partition("="))
    if not key or not equals or not value:
        raise InputError(f"cannot read parameter {piece!r} in {text!r}, expected parameter=value")
    if key in parameters:
        raise InputError(f"parameter {key!r} is given twice in {text!r}")
    parameters[key] = value


def bind_parameters(
    function: Callable[..., Any], given: Mapping[str, Any], *, owner: str
) -> dict[str, Any]:
    """Complete and convert parameters by the function's own keyword-only signature.

    Args:
        function: Its keyword-only parameters with defaults are what may be given. An annotation
            with a `Bound`, or a `Literal`, limits the values.
        given: Names with values, as text (from a command line) or already typed (from metadata).
            None stands only for a default that is None, as in `limit: float | None = None`.
        owner: What the parameters belong to, for messages.

    Returns:
        Every keyword-only parameter, with the given value or its default, in signature order.

    Raises:
        UnknownNameError: If a name is not a parameter.
        InputError: If a value does not convert to the type of its default, or is out of range.
    """
    signature = inspect.signature(function).parameters.values()
    return bind_to([p for p in signature if p.kind is p.KEYWORD_ONLY], given, owner=owner)


def bind_to(
    accepted: Iterable[inspect.Parameter], given: Mapping[str, Any], *, owner: str
) -> dict[str, Any]:
    """Complete and convert parameters by what is accepted, as `bind_parameters` does.

    Args:
        accepted: Parameters of a function, each with a default.
        given: Names with values, as text or already typed.
        owner: What the parameters belong to, for messages.
    """
    parameters = {p.name: p for p in accepted}
    for name in given:
        if name not in parameters:
            raise UnknownNameError(f"parameter of {owner}", name, parameters or ["none at all"])
    return {
        name: _convert(parameter, given[name], owner) if name in given else parameter.default
        for name, parameter in parameters.items()
    }


def _convert(parameter: inspect.Parameter, value: Any, owner: str) -> Any:
    name, default = parameter.name, parameter.default
    if value is default is None:
        return None
    kind = type(default) if default is not None else get_args(parameter.annotation)[0]
    converted = None
    if kind is bool:
        converted = {"true": True, "false": False}.get(str(value).lower())
    else:
        with contextlib.suppress(TypeError, ValueError):
            converted = kind(value)
    if converted is None or (kind is float and not math.isfinite(converted)):
        raise InputError(
            f"parameter {name!r} of {owner} is {value!r}, expected {kind.__name__}",
            hint=f"the default is {default!r}",
        )
    expected = _expected(parameter.annotation, converted)
    if expected:
        raise InputError(
            f"parameter {name!r} of {owner} is {converted!r}, expected {expected}",
            hint=f"the default is {default!r}",
        )
    return converted


def _expected(annotation: Any, value: Any) -> str:
    """What an annotation asks for, if the value is not it; else nothing."""
    if get_origin(annotation) is Literal and value not in get_args(annotation):
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    bounds = [b for b in getattr(annotation, "__metadata__", ()) if isinstance(b, Bound)]
    return ", ".join(str(bound) for bound in bounds if not bound.admits(value))
