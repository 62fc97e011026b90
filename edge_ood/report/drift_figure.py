"""What windows of images looked like over time, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from edge_ood.calibration.drift import Window
from edge_ood.errors import InputError, MissingDependencyError

__all__ = ["drift_figure"]

_LEAST = 1e-16


def drift_figure(
    windows: Sequence[Window], alpha: float, level: float, path: Path, suffix: str
) -> None:
    """Write the share flagged and the test's p-value of each window, alarms marked.

    Args:
        windows: In order; at least one.
        alpha: The false-alarm rate that the artefact was calibrated for.
        level: Of the test of one window.
        path: Where to.
        suffix: `.png` or `.svg`.

    Raises:
        InputError: If there is no window, or the suffix is another.
        MissingDependencyError: If Matplotlib is not installed.
    """
    if suffix.lower() not in (".png", ".svg"):
        raise InputError(f"a figure that ends in '{suffix}'", hint="end it in .png or .svg")
    if not windows:
        raise InputError("not one whole window", hint="a smaller --window")
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("figures", "matplotlib", "report") from error
    images = [window.first + window.images / 2 for window in windows]
    alarms = [window for window in windows if window.is_alarm]
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    shares, tests = figure.subplots(2, 1, sharex=True)
    shares.plot(images, [100 * window.flagged for window in windows], ".-", label="flagged")
    shares.axhline(100 * alpha, color="0.5", linestyle="--", label=f"{alpha:.0%} of ID images")
    shares.set_ylabel("flagged, %")
    shares.set_ylim(bottom=0)
    tests.semilogy(images, [max(_LEAST, w.pvalue) for w in windows], ".-", label="p of the window")
    tests.axhline(level, color="0.5", linestyle="--", label=f"level {level:g}")
    tests.set_ylabel("p-value of the test")
    tests.set_xlabel("image")
    for axes in (shares, tests):
        for window in alarms:
            axes.axvspan(window.first, window.first + window.images, color="tab:red", alpha=0.15)
        axes.legend(loc="upper left")
    figure.savefig(path, format=suffix[1:].lower(), dpi=130)
