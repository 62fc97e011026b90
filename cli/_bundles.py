"""Bundles: several options that belong together, as one parameter of a command.

    @bundle("Decision")
    class Decision:
        alpha: Annotated[float, typer.Option(help="False-alarm rate.")] = 0.05

    @with_bundles
    def export(run: Path, *, decision: Decision) -> None: ...

`edge-ood export RUN --alpha 0.01` fills `decision.alpha`. The help shows the options of a bundle
under its heading, behind those that the command names itself.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args, get_type_hints

from typer.models import OptionInfo

from edge_ood.cli._configuration import ConfigurableCommand

__all__ = ["GroupedCommand", "bundle", "options_of", "with_bundles"]

T = TypeVar("T")

_HEADING = "__heading__"
_OWN = "Options"


@dataclass_transform(kw_only_default=True, frozen_default=True)
def bundle(heading: str) -> Callable[[type[T]], type[T]]:
    """Make a class with annotated options a bundle, whose options stand under a heading."""

    def decorate(kind: type[T]) -> type[T]:
        setattr(kind, _HEADING, heading)
        return dataclass(frozen=True, kw_only=True)(kind)

    return decorate


def with_bundles(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer reads it: options in place of each parameter that is a bundle."""
    signature = inspect.signature(command)
    bundles = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if hasattr(parameter.annotation, _HEADING)
    }
    flat = [p for name, p in signature.parameters.items() if name not in bundles]
    flat += [parameter for kind in bundles.values() for parameter in _parameters(kind)]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        filled = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in bundles.items()
        }
        command(**given, **filled)

    run.__signature__ = signature.replace(parameters=flat)  # type: ignore[attr-defined]  # a function's
    run.__annotations__ = {p.name: p.annotation for p in flat}
    return run


def options_of(*bundles: Any) -> dict[str, Any]:
    """The values of bundles by the names of their options."""
    return {
        field.name: getattr(values, field.name) for values in bundles for field in fields(values)
    }


class GroupedCommand(ConfigurableCommand):
    """A command whose help has its own options first, and those of bundles under headings."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options by heading."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], _OWN: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            is_argument = parameter.param_type_name == "argument"
            heading = getattr(parameter, "rich_help_panel", None) or _OWN
            if record is not None:
                sections.setdefault("Arguments" if is_argument else heading, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def _parameters(kind: type[Any]) -> Iterator[inspect.Parameter]:
    """The options of a bundle as parameters of a function, each under the bundle's heading."""
    hints: Mapping[str, Any] = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        annotation, *extras = get_args(hints[field.name])
        (option,) = [copy(extra) for extra in extras if isinstance(extra, OptionInfo)]
        option.rich_help_panel = getattr(kind, _HEADING)
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[annotation, option],
        )
