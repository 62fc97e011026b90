"""What conversion to fewer bits did to an artefact, in words."""

from typing import TYPE_CHECKING

import typer

from edge_ood.cli._table import format_table

if TYPE_CHECKING:
    from edge_ood.comparison import Comparison

__all__ = ["report_comparison"]

_MANY_LABELS = 0.01
_LOW_RANK_CORRELATION = 0.95


def report_comparison(precision: str, found: "Comparison") -> None:
    """Print a table of the heads and a line of totals; warnings go to stderr."""
    typer.echo(f"\n{precision} against fp32, on {found.images} training images:")
    headings = ("head", "rank correlation", "flips, thresholds of fp32", "flips, its own")
    rows = [
        (h.head, f"{h.rank_correlation:.4f}", f"{h.flips_before:.2%}", f"{h.flips_after:.2%}")
        for h in found.heads
    ]
    typer.echo(format_table(headings, rows))
    typer.echo(
        f"{1 - found.flip_rate:.2%} of the labels agree, logits differ by "
        f"{found.logits_error:.2%} of their spread; {found.size_bytes / 1e6:.2f} MB instead of "
        f"{found.float32_bytes / 1e6:.2f} MB; {found.speed:.2f} x as fast as fp32 on this machine"
    )
    for warning in _warnings(precision, found):
        typer.echo(f"warning: {warning}", err=True)


def _warnings(precision: str, found: "Comparison") -> list[str]:
    warnings = []
    if found.speed < 1:
        warnings.append(
            f"{precision} makes this network slower on this machine: it takes "
            f"{1 / found.speed:.2f} x the time of fp32"
        )
    if found.flip_rate > _MANY_LABELS:
        warnings.append(
            f"{precision} changes the label of {found.flip_rate:.2%} of the images "
            f"({found.label_flips} of {found.images}); --max-label-flips makes that an error"
        )
    moved = [h for h in found.heads if not h.rank_correlation >= _LOW_RANK_CORRELATION]
    if moved:
        named = ", ".join(f"{h.head} ({h.rank_correlation:.2f})" for h in moved)
        warnings.append(f"{precision} ranks images otherwise than fp32 by {named}")
    return warnings
