"""Explanations that no artefact gave, for their text and their page."""

from pathlib import Path
from typing import Any

import numpy as np

from edge_ood.artifact.verdict import Verdict
from edge_ood.runtime.explanation import ClassAnswer, Explanation, HeadAnswer
from report_pages.hostile import HOSTILE

__all__ = ["hostile_explanation", "make_explanation"]

HEADS = (
    HeadAnswer("msp", 0.5, 0.0125, 0.25, is_ood=True),
    HeadAnswer("energy", -2.0, 0.04, -4.0, is_ood=True, decides=True),
    HeadAnswer("gen", 1.0, 0.5, 3.0, is_ood=False),
)
CLASSES = (
    ClassAnswer("cat", 3.5, 0.75, 10.0),
    ClassAnswer("dog", 2.5, 0.2, 40.0),
    ClassAnswer("cow", 0.5, 0.05, 90.0),
)


def make_explanation(**changes: Any) -> Explanation:
    """A flagged image of 40 x 20 px; its patch in row 2, column 7 raises the energy by 3."""
    heads = changes.get("heads", HEADS)
    (deciding,) = (head for head in heads if head.decides)
    falls = np.zeros((8, 8))
    falls[1, 6], falls[5, 0] = 3, -1
    verdict = Verdict(
        label="cat",
        is_ood=deciding.is_ood,
        pvalue=np.float32(deciding.pvalue),
        scores={head.name: np.float32(head.score) for head in heads},
        pvalues={head.name: np.float32(head.pvalue) for head in heads},
        decisions={head.name: head.is_ood for head in heads},
        path=Path("/images/odd.png"),
    )
    generator = np.random.default_rng(0)
    fields: dict[str, Any] = {
        "path": "file.onnx",
        "verdict": verdict,
        "alpha": 0.05,
        "heads": heads,
        "probable": CLASSES,
        "nearest": CLASSES,
        "nearest_head": "mahalanobis",
        "size_px": (40, 20),
        "seen_box": (10.0, 0.0, 30.0, 20.0),
        "seen_px": 16,
        "falls": falls,
        "gradient": None,
        "gradient_head": "",
        "seen": generator.integers(0, 256, (16, 16, 3), np.uint8),
        "picture": generator.integers(0, 256, (160, 320, 3), np.uint8),
    }
    return Explanation(**{**fields, **changes})


def hostile_explanation() -> Explanation:
    """With names as nobody should choose them, and a gradient."""
    classes = tuple(ClassAnswer(name, 1.0, 0.25, 2.0) for name in HOSTILE)
    name = "".join(HOSTILE).replace("/", "").replace("\x00", "")
    verdict = Verdict(HOSTILE[4], True, np.float32(0.04), {}, {}, {}, Path("/") / name)
    return make_explanation(
        path=" ".join(HOSTILE),
        verdict=verdict,
        probable=classes,
        nearest=classes,
        gradient=np.eye(16),
        gradient_head="odin",
    )
