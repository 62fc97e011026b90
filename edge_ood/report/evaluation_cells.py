"""Cells of the tables of an evaluation's page: fields of the document, marked up."""

from typing import TYPE_CHECKING, Any

from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.report.fields import Fields
from edge_ood.report.page import environment

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Cells", "Path", "metric_path"]

Path = tuple[str | int, ...]
"""Where a field is in the document."""


class Cells:
    """Cells of one evaluation's tables; artefacts are named by their place in it.

    Args:
        evaluation: What the document was made from.
        show: The document.
    """

    def __init__(self, evaluation: Evaluation, show: Fields) -> None:
        self.evaluation, self.show = evaluation, show
        self._parts: Any = environment().get_template("evaluation_cells.html").module

    def heading(self, title: str) -> str:
        """In two lines where it has several words, so that no column is wider than its numbers."""
        first, _, last = title.rpartition(" ")
        return self.below(first, last) if first else title

    def below(self, value: str, remark: str) -> "Markup":
        """Two lines."""
        return self._marked_up("below", value, remark)

    def head(self, m: int, head: str) -> "Markup":
        """The name of a head, with what it is to the artefact and to the recommendation."""
        artifact, best = self.evaluation.models[m], self.evaluation.recommendation
        badges = ["primary"] if head == artifact.primary else []
        if best is not None and (best.model, best.head) == (artifact.name, head):
            badges.append("recommended")
        shown = self.show("text", "models", m, "heads", artifact.heads.index(head))
        return self._marked_up("badged", shown, badges)

    def artifact(self, m: int, head: str) -> "Markup":
        """The name of an artefact and of its head, its size and its precision."""
        fields = (("text", "name"), ("megabytes", "n_bytes"), ("text", "precision"))
        shown = (self.show(kind, "models", m, field) for kind, field in fields)
        return self._marked_up("artifact", self.head(m, head), *shown)

    def promised(self, m: int) -> "Markup":
        """The fraction of ID images that the thresholds were made to accept."""
        return self.show("complement", "models", m, "alpha")

    def accepted(self, m: int, head: str) -> "Markup":
        """The fraction of ID images accepted, and below it what was promised."""
        rate = self.rate(("models", m, "id", "heads", head, "realised_tpr"))
        return self._marked_up("accepted", rate, self.promised(m))

    def metric(self, at: Path, head: str, metric: str, *, is_best: bool = False) -> "Markup":
        """A metric of a head on the set or group that is at a path."""
        interval = (*at, "intervals", head, metric)
        return self.rate(metric_path(at, head, metric), interval, is_best=is_best)

    def rate(self, path: Path, interval: Path | None = None, *, is_best: bool = False) -> "Markup":
        """A rate, bold where it is the best, with its interval below where there is one.

        Args:
            path: Where it is.
            interval: Where its interval is; by default under the same name in `intervals` beside.
            is_best: Whether it is the best of its column.
        """
        shown = self.show("percent", path)
        at = interval or (*path[:-1], "intervals", path[-1])
        bounds = self.show("interval", at) if self.show.has(at) else ""
        return self._marked_up(
            "estimate", self._marked_up("best", shown) if is_best else shown, bounds
        )

    def _marked_up(self, macro: str, *values: Any) -> "Markup":
        made: Markup = getattr(self._parts, macro)(*values)
        return made


def metric_path(at: Path, head: str, metric: str) -> Path:
    """Where a metric of a head is on the set or group that is at a path."""
    if metric == "flagged" and at[2] == "ood":
        return (*at, "flagged", head)
    return (*at, "metrics", head, metric)
