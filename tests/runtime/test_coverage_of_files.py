"""Coverage of an exported file: what its own outputs say of new images, over calibration sets."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edge_ood.artifact.outputs import Scores
from edge_ood.calibration.decision import Decision, fit_combined, fit_decision
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.graph.decision import with_decision
from edge_ood.onnx_session import open_session
from edge_ood.runtime.scorer import Scorer

SETS, FRESH = 40, 400
HEADS = ("energy", "msp", "uniform_ce")


def images(count: int, levels: int) -> NDArray[np.uint8]:
    """Images at the network's size, of two tints and a grey: 256 levels hardly tie, 8 do."""
    generator = np.random.default_rng(levels)
    colours = generator.integers(0, levels, (count, 1, 1, 3)) * (256 // levels)
    return np.broadcast_to(colours, (count, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(scope="module", params=[256, 8], ids=["continuous", "tied"])
def pool(request: pytest.FixtureRequest, colour_artifact: Path) -> tuple[NDArray[np.uint8], Scores]:
    """Many images, and what the file makes of them."""
    drawn = images(8000, request.param)
    return drawn, Scorer(colour_artifact, provider="cpu", threads=1).score_arrays(
        drawn, batch_size=500
    )


def decision_of(scores: Scores, chosen: NDArray[np.int64], guarantee: Guarantee) -> Decision:
    """As a calibration on these images would find it."""
    of_heads = {head: scores.scores[head][chosen] for head in HEADS}
    labels = scores.label_index[chosen]
    decision = fit_decision(of_heads, labels, 3, guarantee)
    if not guarantee.combined:
        return decision
    first_half = np.arange(len(chosen)) % 2 == 0
    return fit_combined(decision, of_heads, labels, first_half, guarantee)


@pytest.mark.parametrize(
    ("n", "guarantee", "primary"),
    [
        (19, Guarantee(), "energy"),
        (500, Guarantee(), "energy"),
        (59, Guarantee(confidence=0.95), "energy"),
        (500, Guarantee(confidence=0.95), "energy"),
        (500, Guarantee(per_class=True), "energy"),
        (38, Guarantee(combined=True), "combined"),
        (500, Guarantee(per_class=True, combined=True), "combined"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_the_file_holds_its_rate(
    colour_artifact: Path,
    pool: tuple[NDArray[np.uint8], Scores],
    n: int,
    guarantee: Guarantee,
    primary: str,
) -> None:
    """`is_ood` of new images is as rare as promised, and always `pvalue <= alpha`."""
    frames, scores = pool
    model = onnx.load(colour_artifact)
    generator = np.random.default_rng(n)
    rates = []
    for _ in range(SETS):
        drawn = generator.permutation(len(frames))[: n + FRESH]
        decision = decision_of(scores, drawn[:n], guarantee)
        calibrated = with_decision(model, decision, primary=primary).SerializeToString()
        session = open_session(calibrated, provider="cpu", threads=1)

        flagged, pvalues = session.run(["is_ood", "pvalue"], {"images": frames[drawn[n:]]})

        assert flagged.tolist() == (pvalues <= np.float32(0.05)).tolist()
        rates.append(flagged.mean())
    if guarantee.confidence:
        # With a spare for what sampling new images adds to the rates.
        spare = 3 * math.sqrt(0.05 * 0.95 / FRESH)
        assert np.mean(np.array(rates) > 0.05 + spare) <= 0.05
    assert np.mean(rates) <= 0.05 + 5 * np.std(rates) / math.sqrt(SETS)
