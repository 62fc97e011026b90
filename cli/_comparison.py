"""What conversion to fewer bits did to an artefact, in words."""

from typing import TYPE_CHECKING

from edge_ood.cli._say import say
from edge_ood.cli._table import format_table

if TYPE_CHECKING:
    from edge_ood.parity.comparison import Comparison

__all__ = ["report_comparison"]


def report_comparison(precision: str, found: "Comparison") -> None:
    """Print a table of the heads and a line of totals; warnings go to stderr."""
    say(f"\n{precision} against fp32, on {found.images} training images:")
    headings = ("head", "rank correlation", "flips, thresholds of fp32", "flips, its own")
    rows = [
        (h.head, f"{h.rank_correlation:.4f}", f"{h.flips_before:.2%}", f"{h.flips_after:.2%}")
        for h in found.heads
    ]
    say(format_table(headings, rows))
    say(
        f"{1 - found.flip_rate:.2%} of the labels agree, logits differ by "
        f"{found.logits_error:.2%} of their spread; {found.size_bytes / 1e6:.2f} MB instead of "
        f"{found.float32_bytes / 1e6:.2f} MB; {found.speed:.2f} x as fast as fp32 on this machine"
    )
    for warning in found.warnings(precision):
        say(f"warning: {warning}", err=True)
