"""An explanation in words: for the terminal, and as sentences of its page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_ood.files.paths import shown_path
from edge_ood.files.plain_table import format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.runtime.explanation import ClassAnswer, Explanation, HeadAnswer

__all__ = [
    "agreement",
    "class_cells",
    "class_headings",
    "decision",
    "explanation_text",
    "feeding",
    "head_cells",
    "nearness",
    "probabilities",
    "where",
]

_SMALLEST_PVALUE = 1e-4
_SIDES = (("upper", "middle", "lower"), ("left", "middle", "right"))
_MIDDLE = "middle"


def explanation_text(found: "Explanation") -> str:
    """All of it but the pictures."""
    path = found.verdict.path
    name = "image" if path is None else shown_path(path)
    heads = [
        (f"{head.name} *" if head.decides else head.name, *head_cells(head)[1:])
        for head in found.heads
    ]
    return "\n".join(
        [
            printable(f"{name}: {decision(found)}"),
            feeding(found),
            "",
            format_table(("head", "score", "p", "flagged above", "verdict"), heads),
            f"* decides; {agreement(found)}",
            "",
            printable(nearness(found)),
            format_table(class_headings(found), [class_cells(c) for c in found.nearest]),
            printable(f"most probable: {probabilities(found.probable)}"),
            "",
            where(found),
        ]
    )


def decision(found: "Explanation") -> str:
    """The decision, by which number, and the label."""
    head = found.deciding
    verdict = "flagged" if head.is_ood else "accepted"
    by = f"p {_pvalue(head.pvalue)} by {head.name}"
    if not np.isfinite(head.score):
        reason = f"the score of {head.name} is no finite number"
    elif head.manual:
        side = "above" if head.is_ood else "at most"
        limit = f"{side} the manual threshold {head.threshold:.4g}"
        reason = f"score {head.score:.4g} by {head.name}, {limit}"
    elif head.is_ood:
        reason = f"{by}, at most {found.alpha:.3g} is flagged"
    else:
        reason = f"{by}, above {found.alpha:.3g} is accepted"
    (likely,) = found.probable[:1]
    label = f"label {found.verdict.label}"
    if likely.name == found.verdict.label:
        label = f"{label}, probability {likely.probability:.1%}"
    return f"{verdict}: {reason}; {label}"


def feeding(found: "Explanation") -> str:
    """The size of the image, and how it became network input."""
    width, height = found.size_px
    left, top, right, bottom = found.seen_box
    side = f"{found.seen_px} x {found.seen_px} px"
    share = (right - left) * (bottom - top) / (width * height)
    if share >= 1:
        return f"the image has {width} x {height} px; the network saw all of it, as {side}"
    middle = f"the central {right - left:.0f} x {bottom - top:.0f} px"
    seen = f"the network saw {middle} as {side}, {share:.0%} of its area"
    return f"the image has {width} x {height} px; {seen}"


def agreement(found: "Explanation") -> str:
    """Which scores flag the image, and which do not."""
    flagging = [head.name for head in found.heads if head.is_ood]
    accepting = [head.name for head in found.heads if not head.is_ood]
    if flagging and accepting:
        return f"scores disagree: {_said(flagging, 'flag')} it, {_said(accepting, 'accept')} it"
    verb = "flag" if flagging else "accept"
    if len(found.heads) == 1:
        return f"the only score {verb}s it"
    return f"all {len(found.heads)} scores {verb} it"


def nearness(found: "Explanation") -> str:
    """The nearest training class, and by what."""
    nearest = found.nearest[0]
    if nearest.distance is None:
        return f"nearest class: {nearest.name}, by its logit, as no score measures distances"
    label = found.verdict.label
    other = "" if nearest.name == label else f", although the label is {label}"
    return f"nearest class: {nearest.name}, by the distance of {found.nearest_head}{other}"


def probabilities(classes: Sequence["ClassAnswer"]) -> str:
    """Classes with their probabilities."""
    return ", ".join(f"{answer.name} {answer.probability:.1%}" for answer in classes)


def where(found: "Explanation") -> str:
    """The part of the image that raises the deciding score most, and what it is without."""
    head, falls = found.deciding, found.falls
    if not falls.max() > 0:
        return f"covering no part of the image alone lowers the score of {head.name}"
    count = len(falls)
    row, column = (int(i) for i in np.unravel_index(int(falls.argmax()), falls.shape))
    place = (
        f"{_place(row, column, count)} (row {row + 1}, column {column + 1} of {count} x {count})"
    )
    without = found.score_without
    rest = f"from {head.score:.4g} to {without:.4g}"
    if head.is_ood:
        still = without > head.threshold
        rest = f"{rest}, where it would {'still' if still else 'no longer'} be flagged"
    return f"covering the {place} lowers the score of {head.name} most, {rest}"


def head_cells(head: "HeadAnswer") -> tuple[str, ...]:
    """Name, score, p-value, threshold and verdict."""
    verdict = "flagged" if head.is_ood else "accepted"
    score, threshold = f"{head.score:.4g}", f"{head.threshold:.4g}"
    return head.name, score, _pvalue(head.pvalue), threshold, verdict


def class_headings(found: "Explanation") -> tuple[str, ...]:
    """Headings of the table of the nearest classes."""
    by = "logit" if found.nearest[0].distance is None else "distance"
    return "class", by, "probability"


def class_cells(answer: "ClassAnswer") -> tuple[str, ...]:
    """Name, distance or logit, and probability."""
    value = answer.logit if answer.distance is None else answer.distance
    return answer.name, f"{value:.4g}", f"{answer.probability:.1%}"


def _pvalue(value: float) -> str:
    return f"{value:.4f}" if value >= _SMALLEST_PVALUE else f"<{_SMALLEST_PVALUE:.4f}"


def _said(names: list[str], verb: str) -> str:
    if len(names) == 1:
        return f"{names[0]} {verb}s"
    return f"{', '.join(names[:-1])} and {names[-1]} {verb}"


def _place(row: int, column: int, count: int) -> str:
    """The third of the image that a patch lies in, such as `upper left`."""
    thirds = [int(3 * (index + 0.5) / count) for index in (row, column)]
    down, across = (_SIDES[axis][third] for axis, third in enumerate(thirds))
    if down == across == _MIDDLE:
        return _MIDDLE
    return f"{down} {across}" if across != _MIDDLE else f"{down} middle"
