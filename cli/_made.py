"""What a command says about an artefact that it has just made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge_ood.cli._comparison import report_comparison
from edge_ood.cli._say import say
from edge_ood.cli._table import format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.attachment.attach import Attached

__all__ = ["report_artifact"]


def report_artifact(attached: "Attached") -> None:
    """Print thresholds, errors, guarantee and what was chosen."""
    from edge_ood.artifact.guarantee_text import promise
    from edge_ood.files.output import page_path, report_path

    target = attached.path
    _explain_choices(attached.metadata.provenance.get("choices", {}))
    calibration = attached.metadata.calibration
    errors = {d.output: d for d in attached.parity.differences}
    rows = [
        (head, f"{threshold:.6g}", f"{errors[head].error:.1e}", f"{errors[head].allowed:.1e}")
        for head, threshold in calibration.thresholds.items()
    ]
    say(format_table(("head", "threshold", "parity error", "allowed"), rows))
    say(
        f"{target}: {target.stat().st_size / 1e6:.2f} MB, calibrated on {calibration.n} images, "
        f"decides by {attached.metadata.primary}; "
        f"parity checked on {attached.parity.images} images, "
        f"{attached.parity.resized_flips} of {attached.parity.resized_decisions} decisions differ "
        "between resizing by Pillow and in the graph"
    )
    for gradient in attached.parity.gradients:
        say(
            f"{gradient.head}: gradient within {gradient.worst:.2%} of differences (allowed "
            f"{gradient.allowed:.0%}) along {gradient.compared} directions on {gradient.images} "
            f"images; {gradient.kinks} more at kinks"
        )
    say(promise(attached.metadata))
    say(f"{report_path(target)}: the images on which each output is furthest off")
    if page_path(target).exists():
        say(f"{page_path(target)}: all of this as a page, and what the thresholds mean")
    if attached.comparison is not None:
        report_comparison(attached.metadata.precision, attached.comparison)


def _explain_choices(choices: Mapping[str, Any]) -> None:
    for head, choice in choices.items():
        if "epsilon" in choice:
            found = choice["epsilon"]
            curve = ", ".join(f"{eps}: {value:.4f}" for eps, value in found["curve"].items())
            say(f"{head}: epsilon {found['epsilon']:g} by {found['criterion']} ({curve})")
            if found["at_end"]:
                kept = ", so the paper's value is kept" if found["kept_default"] else ""
                say(f"{head}: the best epsilon is the end of the grid{kept}", err=True)
        if "weights" in choice:
            by_layer = choice["weights"]["by_layer"]
            shown = ", ".join(f"{printable(name)} {share:.3g}" for name, share in by_layer.items())
            say(f"{head}: layer weights by {choice['weights']['source']}: {shown}")
        if "rank" in choice:
            shares = choice["rank"]["explained"].items()
            kept = ", ".join(f"{share:.1%} of that of {printable(name)}" for name, share in shares)
            say(f"{head}: rank {choice['rank']['rank']} keeps of the variance: {kept}")
