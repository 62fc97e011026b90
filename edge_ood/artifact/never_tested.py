"""Images that must be in no test of a file, whatever a user allows: how its provenance says so."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["declaration_of", "declared_roles"]

_KEY = "never_tested"


def declaration_of(roles: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """What the provenance of a file says of the roles whose images are excluded, none or more."""
    return {_KEY: sorted(roles)}


def declared_roles(provenance: Mapping[str, Any]) -> frozenset[str] | None:
    """The roles that a file excludes; None where it does not say, as in earlier versions."""
    found = provenance.get(_KEY)
    if isinstance(found, list | tuple) and all(isinstance(role, str) for role in found):
        return frozenset(found)
    return None
