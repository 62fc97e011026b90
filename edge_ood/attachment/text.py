"""What there is to say about an artefact that has just been made, as plain text."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_ood.artifact.guarantee_text import guarantee_text
from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.probabilities_text import probabilities_text
from edge_ood.files.output import page_path, report_path
from edge_ood.files.plain_table import format_table
from edge_ood.parity.comparison import Comparison
from edge_ood.parity.differences import ParityReport

__all__ = ["attached_text", "choice_warnings", "comparison_text"]


def attached_text(
    path: Path, metadata: Metadata, parity: ParityReport, comparison: Comparison | None
) -> str:
    """Thresholds, errors, guarantee and what was chosen; where report and page lie.

    Args:
        path: The artefact.
        metadata: What it holds.
        parity: How close it is to its reference.
        comparison: With the same file in float32, where it was converted.
    """
    calibration = metadata.calibration
    errors = {d.output: d for d in parity.differences}
    rows = [
        (head, f"{threshold:.6g}", f"{errors[head].error:.1e}", f"{errors[head].allowed:.1e}")
        for head, threshold in calibration.thresholds.items()
    ]
    blocks = [
        *_choices(metadata.provenance.get("choices", {})),
        format_table(("head", "threshold", "parity error", "allowed"), rows),
        f"{path}: {path.stat().st_size / 1e6:.2f} MB, calibrated on {calibration.n} images, "
        f"decides by {metadata.primary}; parity checked on {parity.images} images, "
        f"{parity.resized_flips} of {parity.resized_decisions} decisions differ "
        "between resizing by Pillow and in the graph",
        *_gradients(parity),
        guarantee_text(metadata),
        probabilities_text(metadata),
        f"{report_path(path)}: the images on which each output is furthest off",
    ]
    if page_path(path).exists():
        blocks.append(f"{page_path(path)}: all of this as a page, and what the thresholds mean")
    if comparison is not None:
        blocks.append(f"\n{comparison_text(metadata.precision, comparison)}")
    return "\n".join(blocks)


def choice_warnings(metadata: Metadata) -> list[str]:
    """What is odd about the parameters that were chosen, one sentence each."""
    choices: Mapping[str, Any] = metadata.provenance.get("choices", {})
    found = {head: choice["epsilon"] for head, choice in choices.items() if "epsilon" in choice}
    return [
        f"{head}: the best epsilon is the end of the grid"
        + (", so the paper's value is kept" if epsilon["kept_default"] else "")
        for head, epsilon in found.items()
        if epsilon["at_end"]
    ]


def comparison_text(precision: str, found: Comparison) -> str:
    """A table of the heads and a line of totals."""
    headings = ("head", "rank correlation", "flips, thresholds of fp32", "flips, its own")
    rows = [
        (h.head, f"{h.rank_correlation:.4f}", f"{h.flips_before:.2%}", f"{h.flips_after:.2%}")
        for h in found.heads
    ]
    return (
        f"{precision} against fp32, on {found.images} training images:\n"
        f"{format_table(headings, rows)}\n"
        f"{1 - found.flip_rate:.2%} of the labels agree, logits differ by "
        f"{found.logits_error:.2%} of their spread; {found.size_bytes / 1e6:.2f} MB instead of "
        f"{found.float32_bytes / 1e6:.2f} MB; {found.speed:.2f} x as fast as fp32 on this machine"
    )


def _choices(choices: Mapping[str, Any]) -> Iterator[str]:
    for head, choice in choices.items():
        if "primary" in choice:
            yield from _aurocs(choice["primary"].get("auroc", {}))
        if "epsilon" in choice:
            found = choice["epsilon"]
            curve = ", ".join(f"{eps}: {value:.4f}" for eps, value in found["curve"].items())
            yield f"{head}: epsilon {found['epsilon']:g} by {found['criterion']} ({curve})"
        if "weights" in choice:
            by_layer = choice["weights"]["by_layer"]
            shown = ", ".join(f"{layer} {weight:.3g}" for layer, weight in by_layer.items())
            yield f"{head}: layer weights by {choice['weights']['source']}: {shown}"
        if "rank" in choice:
            shares = choice["rank"]["explained"].items()
            kept = ", ".join(f"{share:.1%} of that of {layer}" for layer, share in shares)
            yield f"{head}: rank {choice['rank']['rank']} keeps of the variance: {kept}"


def _aurocs(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """A table of what a score was chosen by to decide."""
    if found:
        groups = list(next(iter(found.values())))
        rows = [(n, *(f"{row[group]:.2%}" for group in groups)) for n, row in found.items()]
        headings = ("head", *(f"AUROC, {group}" for group in groups))
        yield f"on training-side images:\n{format_table(headings, rows)}\n"


def _gradients(parity: ParityReport) -> Iterator[str]:
    for gradient in parity.gradients:
        yield (
            f"{gradient.head}: gradient within {gradient.worst:.2%} of differences (allowed "
            f"{gradient.allowed:.0%}) along {gradient.compared} directions on {gradient.images} "
            f"images; {gradient.kinks} more at kinks"
        )
