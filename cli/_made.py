"""What a command says about an artefact that it has just made."""

from typing import TYPE_CHECKING

from edge_ood.cli._say import say

if TYPE_CHECKING:
    from edge_ood.attachment.attached import Attached

__all__ = ["report_artifact"]


def report_artifact(attached: "Attached") -> None:
    """Print thresholds, errors, guarantee and what was chosen; warnings go to stderr."""
    say(str(attached))
    for warning in attached.warnings:
        say(f"warning: {warning}", err=True)
