"""Is the order of scores on published networks that of OpenOOD's leaderboard? Table and figure.

`table.py` puts both into README.md; the figure is `ranking.svg`.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from image_sets import CIFAR10
from rows import PUBLISHED
from scipy.stats import rankdata, spearmanr

__all__ = ["LEADERBOARD", "RANKED", "correlations", "draw", "ranked", "ranking_table"]

LEADERBOARD = {
    "msp": (88.03, 90.73),
    "max_logit": (87.52, 91.10),
    "energy": (87.58, 91.21),
    "gen": (88.20, 91.35),
    "kl_matching": (79.19, 82.68),
    "odin": (82.87, 87.96),
    "knn": (90.64, 92.96),
    "vim": (88.68, 93.48),
    "fdbd": (90.42, 93.16),
    "nci": (88.86, 91.27),
    "she": (81.54, 85.32),
    "react": (87.11, 90.42),
    "dice": (78.34, 84.23),
    "scale": (82.55, 86.39),
    "gradnorm": (54.90, 57.55),
}
"""Near and far AUROC on CIFAR-10, ResNet-18, three runs (OpenOOD v1.5, arXiv:2306.09301). Not here:
`mahalanobis` and `rmd`, whose features are of length one in edge-ood and were not there; `ash` and
`adascale`, for which narrow networks have too few features."""

GROUPS = {
    "near": ("cifar100", "tiny-resize"),
    "far": ("mnist", "characters", "textures", "scenes"),
}
"""What is here of the leaderboard's CIFAR-100 and Tiny ImageNet, and of its MNIST, SVHN, DTD and
Places365: all of the first and third, the second with the classes that CIFAR-10 has, ten
classes of DTD's 47, and stand-ins for the two others."""

RANKED = [row for row, network in PUBLISHED.items() if network.images is CIFAR10]

Result = Mapping[str, Any]


def ranked(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Mean AUROC over `GROUPS` and published networks, by near and far, then by score."""
    networks = [r for r in results if r["row"] in RANKED]
    shared = [s for s in LEADERBOARD if all(s in r["results"]["scores"] for r in networks)]
    return {
        group: {
            score: statistics.mean(
                r["results"]["scores"][score]["ood"][name]["auroc"]
                for r in networks
                for name in sets
            )
            for score in shared
        }
        for group, sets in GROUPS.items()
    }


def correlations(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Spearman's rank correlation with the leaderboard, near and far."""
    return {
        group: float(spearmanr(list(of.values()), [LEADERBOARD[s][place] for s in of]).statistic)
        for place, (group, of) in enumerate(found.items())
    }


def ranking_table(found: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Scores with AUROC and rank, here and there; the best near score of the leaderboard first."""
    columns = []
    for place, of in enumerate(found.values()):
        there = [LEADERBOARD[score][place] for score in of]
        columns += [list(of.values()), _ranks(list(of.values())), there, _ranks(there)]
    scores = list(found["near"])
    return [
        [f"`{scores[row]}`", *(f"{value:.1f}" if n % 2 == 0 else f"{value:g}"
                               for n, value in enumerate(column[row] for column in columns))]
        for row in sorted(range(len(scores)), key=lambda row: -LEADERBOARD[scores[row]][0])
    ]  # fmt: skip


def draw(found: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Our ranks over the leaderboard's, near and far side by side, as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "ranking", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(10, 4.8), layout="constrained")
        for column, (axes, (group, of)) in enumerate(
            zip(figure.subplots(1, 2), found.items(), strict=True)
        ):
            here = _ranks(list(of.values()))
            there = _ranks([LEADERBOARD[score][column] for score in of])
            axes.plot([1, len(of)], [1, len(of)], color="0.8", zorder=0)
            axes.scatter(there, here, color="tab:blue")
            points = list(zip(there, here, strict=True))
            for score, (x, y) in zip(of, points, strict=True):
                is_crowded = any(0 < x - u <= 2 and abs(y - v) < 1 for u, v in points)
                place, side = ((-5, 3), "right") if is_crowded else ((5, 3), "left")
                axes.annotate(score, (x, y), xytext=place, textcoords="offset points", ha=side)
            axes.margins(0.1)
            axes.set(
                title=f"{group}: rank correlation {correlations(found)[group]:.2f}",
                xlabel="rank in OpenOOD v1.5, ResNet-18",
                ylabel="rank here, means over published networks",
            )
            axes.invert_xaxis()
            axes.invert_yaxis()
        figure.savefig(path, metadata={"Date": None})


def _ranks(values: Sequence[float]) -> list[float]:
    """1 for the largest."""
    return [float(rank) for rank in rankdata([-value for value in values])]
