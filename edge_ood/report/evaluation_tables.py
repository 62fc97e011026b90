"""The tables of an evaluation's page: cells are fields of the document, marked up."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_ood.evaluation.results import Evaluation, ModelResult
from edge_ood.report.evaluation_drawings import shown_groups, shown_heads
from edge_ood.report.fields import Fields
from edge_ood.report.page import environment

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Table", "Tables"]

Path = tuple[str | int, ...]


class Table(NamedTuple):
    """What the macro `data_table` takes."""

    caption: str
    headings: tuple[str, ...]
    rows: list[Sequence[str]]


class _Column(NamedTuple):
    metric: str
    title: str
    best: Callable[[Sequence[float]], float] | None


_PAIR = (
    _Column("auroc", "AUROC", max),
    _Column("aupr_in", "AUPR-In", max),
    _Column("aupr_out", "AUPR-Out", max),
    _Column("fpr95_id_positive", "FPR95 ID-positive", min),
    _Column("fpr95_ood_positive", "FPR95 OOD-positive", min),
    _Column("detection_error", "detection error", min),
    # Not marked: whoever flags most of everything would win.
    _Column("flagged", "flagged", None),
)
_DIGITS = 4
_BRIEF = ("auroc", "fpr95_id_positive", "flagged")


class Tables:
    """Tables of one evaluation; models, sets and heads are named by their place in it."""

    def __init__(self, evaluation: Evaluation, show: Fields) -> None:
        self._evaluation, self._show = evaluation, show
        self._parts: Any = environment().get_template("evaluation_cells.html").module

    def models(self) -> Table:
        """Each artefact with its primary and its best head, side by side."""
        groups = shown_groups(self._evaluation.models[0])
        groups = tuple(group for group in groups if group != "all") or groups
        titles = {column.metric: column.title for column in _PAIR}
        headings: tuple[str, ...] = ("model", "accuracy", "ID accepted")
        headings += tuple(
            self._heading(f"{group} {titles[metric]}") for group in groups for metric in _BRIEF
        )
        rows: list[Sequence[str]] = []
        for m, model in enumerate(self._evaluation.models):
            for head in shown_heads(self._evaluation, model):
                cells = [
                    self._model_cell(m, model, head),
                    self._estimate(("models", m, "id", "accuracy")),
                    self._markup(
                        "accepted",
                        self._estimate(("models", m, "id", "heads", head, "realised_tpr")),
                        self._field(m, "complement", "alpha"),
                    ),
                ]
                for group in groups:
                    at = ("models", m, "groups", group)
                    cells += [self._pair_cell(at, head, metric) for metric in _BRIEF]
                rows.append(cells)
        return Table("Models and heads", headings, rows)

    def rivals(self) -> Table:
        """How far every other head is behind the recommended one."""
        rows: list[Sequence[str]] = []
        best = self._evaluation.recommendation
        for i, _ in enumerate(best.rivals if best else ()):
            at: Path = ("recommendation", "rivals", i)
            name = self._show("text", at, "head")
            if len(self._evaluation.models) > 1:
                name = self._markup("below", self._show("text", at, "model"), name)
            rows.append([name, self._estimate((*at, "difference"), (*at, "interval"))])
        return Table("Behind the recommended head", ("head", "mean AUROC, difference"), rows)

    def pair(self, m: int, place: str, name: str) -> Table:
        """All heads on an OOD set (`place` is `ood`) or on a group (`groups`)."""
        model, at = self._evaluation.models[m], ("models", m, place, name)
        best = {column.metric: self._best(at, column) for column in _PAIR}
        rows: list[Sequence[str]] = [
            [
                self._head(m, model, head),
                *(
                    self._pair_cell(at, head, column.metric, is_best=head in best[column.metric])
                    for column in _PAIR
                ),
            ]
            for head in model.heads
        ]
        caption = f"All heads on {name}" if place == "ood" else f"All heads, mean of group {name}"
        return Table(caption, ("head", *(self._heading(c.title) for c in _PAIR)), rows)

    def known(self, m: int) -> Table:
        """All heads on the ID images; what needs labels is left out without them."""
        model = self._evaluation.models[m]
        headings: tuple[str, ...] = ("head", "accepted", "promised")
        if model.id.is_labelled:
            headings += ("accuracy of accepted", "wrong vs right AUROC")
            headings += ("AUPR, wrong positive", "AUPR, right positive")
        rows: list[Sequence[str]] = []
        for head in model.heads:
            at: Path = ("models", m, "id", "heads", head)
            cells = [
                self._head(m, model, head),
                self._estimate((*at, "realised_tpr")),
                self._field(m, "complement", "alpha"),
            ]
            if model.id.is_labelled:
                cells.append(self._estimate((*at, "accepted_accuracy")))
                cells += [
                    self._estimate((*at, "misclassification", metric), (*at, "intervals", metric))
                    for metric in ("auroc", "aupr_wrong", "aupr_right")
                ]
            rows.append(cells)
        return Table("All heads on the ID images", tuple(map(self._heading, headings)), rows)

    def classes(self, m: int, head: str) -> Table:
        """False alarms of one head by class."""
        model = self._evaluation.models[m]
        headings: tuple[str, ...] = (
            "class",
            "images",
            "flagged",
            "predicted as it",
            "flagged of these",
        )
        kinds = ("count", "percent", "count", "percent")
        fields = ("n_true", "flagged_true", "n_predicted", "flagged_predicted")
        rows: list[Sequence[str]] = []
        for c, _ in enumerate(model.id.heads[head].classes):
            at: Path = ("models", m, "id", "heads", head, "classes", c)
            cells: list[str] = [self._show("text", at, "name")]
            cells += [self._show(kind, at, name) for kind, name in zip(kinds, fields, strict=True)]
            rows.append(cells)
        return Table(f"False alarms of {head} by class", headings, rows)

    def confidence(self, m: int) -> Table:
        """Mean probability of the predicted class by set, ID first."""
        model, at = self._evaluation.models[m], ("models", m, "id")
        rows: list[Sequence[str]] = [
            [
                "ID",
                self._show("count", at, "n"),
                self._estimate((*at, "mean_max_probability")),
            ]
        ]
        for name in model.ood:
            at_set = ("models", m, "ood", name)
            cells = [self._show("name", at_set), self._show("count", at_set, "n")]
            rows.append([*cells, self._show("percent", at_set, "mean_max_probability")])
        headings: tuple[str, ...] = ("set", "images", "mean probability")
        return Table("Probability of the predicted class", headings, rows)

    def corrupted(self, m: int, c: int) -> Table:
        """One corruption by strength: the classifier, and what the heads shown first flag."""
        model = self._evaluation.models[m]
        heads = shown_heads(self._evaluation, model)
        headings: tuple[str, ...] = ("strength", "accuracy", "mean probability", "ECE")
        headings += tuple(f"{what} {h}" for h in heads for what in ("flagged by", "AUROC of"))
        rows: list[Sequence[str]] = []
        for s, _ in enumerate(model.corruptions[c].strengths):
            at: Path = ("models", m, "corruptions", c, "strengths", s)
            cells: list[str] = [self._show("count", at, "strength")]
            for metric in ("accuracy", "mean_max_probability", "expected_calibration_error"):
                cells.append(self._show("percent", at, metric))
            for head in heads:
                cells += [self._show("percent", at, what, head) for what in ("flagged", "auroc")]
            rows.append(cells)
        return Table(model.corruptions[c].name, headings, rows)

    def _markup(self, macro: str, *values: Any) -> "Markup":
        made: Markup = getattr(self._parts, macro)(*values)
        return made

    def _model_cell(self, m: int, model: ModelResult, head: str) -> "Markup":
        fields = (("text", "name"), ("megabytes", "n_bytes"), ("text", "precision"))
        return self._markup(
            "model", self._head(m, model, head), *(self._field(m, *field) for field in fields)
        )

    def _heading(self, title: str) -> str:
        """In two lines where it is long, for a column that is no wider than its numbers."""
        first, _, last = title.rpartition(" ")
        return self._markup("below", first, last) if first else title

    def _head(self, m: int, model: ModelResult, head: str) -> "Markup":
        best = self._evaluation.recommendation
        badges = ["primary"] if head == model.primary else []
        if best is not None and (best.model, best.head) == (model.name, head):
            badges.append("recommended")
        shown = self._show("text", "models", m, "heads", model.heads.index(head))
        return self._markup("badged", shown, badges)

    def _field(self, m: int, kind: str, name: str) -> "Markup":
        return self._show(kind, "models", m, name)

    def _pair_cell(self, at: Path, head: str, metric: str, *, is_best: bool = False) -> "Markup":
        return self._estimate(
            _metric_path(at, head, metric), (*at, "intervals", head, metric), is_best=is_best
        )

    def _estimate(
        self, path: Path, interval: Path | None = None, *, is_best: bool = False
    ) -> "Markup":
        """A rate, bold where it is the best, with its interval below where there is one."""
        shown = self._show("percent", path)
        at = interval or (*path[:-1], "intervals", path[-1])
        bounds = self._show("interval", at) if self._show.has(at) else ""
        return self._markup("estimate", self._markup("best", shown) if is_best else shown, bounds)

    def _best(self, at: Path, column: _Column) -> set[str]:
        """The heads with the best value of a column; none where all are alike or undefined."""
        model = self._evaluation.models[int(at[1])]
        paths = {head: _metric_path(at, head, column.metric) for head in model.heads}
        defined = {head: path for head, path in paths.items() if self._show.has(path)}
        # As they are shown: what reads alike is alike.
        values = {head: round(self._show.value(path), _DIGITS) for head, path in defined.items()}
        if column.best is None or len(set(values.values())) < 2:
            return set()
        best = column.best(list(values.values()))
        return {head for head, value in values.items() if value == best}


def _metric_path(at: Path, head: str, metric: str) -> Path:
    if metric == "flagged" and at[2] == "ood":
        return (*at, "flagged", head)
    return (*at, "metrics", head, metric)
