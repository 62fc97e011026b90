"""What decides in an artefact: what was asked for, or the default where nobody chose."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from edge_ood.attachment.request import AUTO, Options
from edge_ood.calibration.combination import COMBINED, FEWEST_COMBINED
from edge_ood.errors import InputError
from edge_ood.registry import Spec, bind_parameters
from edge_ood.scores import DEFAULT_COMBINED, DEFAULT_PRIMARY, bind_head

__all__ = ["combining", "with_primary"]


def combining(
    scores: Sequence[Spec], primary: str | None = None
) -> tuple[list[Spec], dict[str, Any]]:
    """The heads that a user names, and what `combined` among them means to a `Guarantee`.

    Args:
        scores: Heads with parameters, and `combined` with its own: `of`, heads joined by `+`, and
            `rule`. Heads that it is made of need not be named twice.
        primary: `combined` asks for it, too.

    Raises:
        InputError: If it is named twice or a parameter is out of range.
    """
    heads = [spec for spec in scores if spec.name != COMBINED]
    asked = [spec for spec in scores if spec.name == COMBINED]
    if not asked and primary != COMBINED:
        return heads, {}
    if len(asked) > 1:
        raise InputError(f"{COMBINED!r} is named {len(asked)} times, expected once")
    given = asked[0].parameters if asked else {}
    chosen = bind_parameters(_combined, given, owner=f"{COMBINED!r}")
    of = tuple(name.strip().replace("-", "_") for name in chosen["of"].split("+") if name.strip())
    named = {bind_head(spec).name for spec in heads}
    heads += [Spec(name) for name in of if name not in named]
    return heads, {"combined": True, "combined_of": of, "combined_rule": chosen["rule"]}


def _combined(*, of: str = "", rule: Literal["sum", "largest"] = "sum") -> None:
    """The parameters of `combined`."""


def with_primary(options: Options, names: Sequence[str], n_images: int) -> tuple[Options, str]:
    """The options with a score that decides.

    The one that was asked for; `combined` where it was asked for; of scores that a user named, the
    default primary head if it is among them, else the first. Where nobody chose anything,
    `combined` of the default members, if there are two of them and images enough for both halves,
    else the default primary head. So it is with `auto`, of which more is found out later.

    Args:
        options: Their heads may be open.
        names: The heads that the artefact gets.
        n_images: Calibration images.

    Returns:
        The options, and why no default combination decides where that is so, else nothing.
    """
    members = tuple(name for name in DEFAULT_COMBINED if name in names)
    guarantee = options.guarantee
    if guarantee.combined and not guarantee.combined_of and not options.heads:
        options = replace(options, guarantee=replace(guarantee, combined_of=members))
    if options.primary not in (None, AUTO):
        return options, ""
    if guarantee.combined:
        return replace(options, primary=COMBINED), ""
    alone = DEFAULT_PRIMARY if DEFAULT_PRIMARY in names else names[0]
    if options.heads:
        return replace(options, primary=alone), ""
    if len(members) < FEWEST_COMBINED:
        return replace(options, primary=alone), f"{alone!r} decides"
    together = replace(guarantee, combined=True, combined_of=members)
    if n_images < together.needed_images:
        return replace(options, primary=alone), (
            f"{alone!r} decides alone: with {together.needed_images} calibration images, not "
            f"{n_images}, {' and '.join(members)} would decide together"
        )
    return replace(options, guarantee=together, primary=COMBINED), ""
