"""What the user should know of a run before its first step; without torch."""

from collections.abc import Iterator

from edge_ood.calibration.guarantee import Guarantee
from edge_ood.training.resume import environment_notes
from edge_ood.training.run_directory import Run

__all__ = ["starting_notes"]


def starting_notes(run: Run, earlier: Run | None) -> Iterator[str]:
    """One sentence each.

    Args:
        run: That is going to start, or to go on.
        earlier: As it was started, if it goes on.
    """
    if earlier is not None:
        yield from environment_notes(earlier, run)
    if smoothing := run.config.settings.label_smoothing:
        yield (
            f"label smoothing {smoothing:g} often ruins scores that read logits: let a distance"
            " between features decide, or leave it out"
        )
    images, default = len(run.splits["calibration"]), Guarantee()
    if images < default.minimum_images:
        yield (
            f"{images} calibration images: a {default.alpha:.0%} false-alarm rate needs"
            f" {default.minimum_images}, so export will ask for more or for a larger --alpha"
        )
