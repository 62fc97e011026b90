"""AdaSCALE's formula against a loop over images and features, and what its step descends."""

import numpy as np
import pytest
from scipy.special import logsumexp

from edge_ood.errors import CalibrationError
from edge_ood.scores import BoundHead, LinearLayer, Outputs, Step, bind_head

CLASSES, WIDTH = 3, 120
RNG = np.random.default_rng(0)
LINEAR = LinearLayer(RNG.normal(size=(CLASSES, WIDTH)) / 20, RNG.normal(size=CLASSES))


def logits_of(features: np.ndarray) -> np.ndarray:
    """What the last layer gives."""
    logits: np.ndarray = features @ LINEAR.weight.T + LINEAR.bias
    return logits


def outputs_of(before: np.ndarray, after: np.ndarray) -> Outputs:
    """Outputs of images, and features of the moved ones; some of these are negative."""
    still = Outputs(logits_of(before), features={"penultimate": before})
    return still.moved({"features/penultimate": after})


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of images before and after a step, which moves each image by another amount."""
    rng = np.random.default_rng(seed)
    before = np.abs(rng.normal(size=(count, WIDTH)))
    by = rng.uniform(0, 2, (count, 1)) * rng.normal(size=(count, WIDTH))
    return before, before + by


def shift_of(before: np.ndarray, after: np.ndarray) -> float:
    """Q' = 10 Q + C of one image: 1 % of the features are 1, 5 % are 6."""
    order = np.argsort(before)[::-1]
    shifted = sum(abs(after[d] - before[d]) for d in order[:1])
    return 10 * shifted + sum(max(after[d], 0) for d in order[:6])


def expected_score(before: np.ndarray, after: np.ndarray, knots: np.ndarray) -> float:
    """One image by the paper; of the last feature that counts, a share does."""
    rank = np.interp(shift_of(before, after), knots, np.linspace(0, 1, len(knots)))
    kept = WIDTH * (1 - (0.6 + (1 - rank) * (0.85 - 0.6)))
    peaks = np.sort(before)[::-1]
    whole = int(kept)
    counted = peaks[:whole].sum() + (kept - whole) * peaks[whole]
    scaled = before * np.exp(before.sum() / counted)
    return -float(logsumexp(logits_of(scaled)))


def fitted(spec: str, outputs: Outputs) -> BoundHead:
    """The head with statistics of images of three classes in turn."""
    bound = bind_head(spec)
    accumulator = bound.accumulator(CLASSES, LINEAR)
    assert accumulator is not None
    accumulator.update(outputs, np.arange(len(outputs.logits)) % CLASSES)
    return BoundHead(bound.head, bound.parameters, accumulator.finish())


def test_equals_a_loop_over_images() -> None:
    """The distribution of Q' on training images decides how many features count."""
    known, new = images(300, seed=1), images(40, seed=2)
    shifts = [shift_of(before, after) for before, after in zip(*known, strict=True)]
    knots = np.quantile(np.array(shifts, np.float32), np.linspace(0, 1, 64))
    expected = [expected_score(*pair, knots) for pair in zip(*new, strict=True)]

    found = fitted("adascale", outputs_of(*known)).score(np, outputs_of(*new))

    np.testing.assert_allclose(expected, found, rtol=1e-6)


@pytest.mark.parametrize(("far", "share"), [(1e6, 0.4), (0.0, 0.15)])
def test_the_percentile_ends_where_training_images_do(far: float, share: float) -> None:
    """Beyond the largest Q' 40 % of the features count, below the smallest 15 %."""
    known = images(300, seed=1)
    before = np.abs(RNG.normal(size=(1, WIDTH)))
    peaks = np.sort(before[0])[::-1][: round(share * WIDTH)]
    factor = np.exp(before.sum() / peaks.sum())
    expected = -logsumexp(logits_of(factor * before))
    after = before + far if far else np.where(before < np.sort(before)[:, -7:-6], 0, before)

    # Where nothing shifts Q' is small, and where the largest are gone it is as small as can be.
    head = fitted("adascale", outputs_of(known[0], known[1] + 10))
    np.testing.assert_allclose(head.score(np, outputs_of(before, after)), [expected], rtol=1e-9)


def test_a_narrow_network_is_refused() -> None:
    """Where the largest hundredth of the features is none, with the figures that speak against."""
    accumulator = bind_head("adascale").accumulator(2, LinearLayer(np.eye(2, 64), np.zeros(2)))
    assert accumulator is not None
    features = np.abs(np.random.default_rng(0).normal(size=(50, 64)))
    outputs = Outputs(features[:, :2], features={"penultimate": features})
    accumulator.update(outputs, np.arange(50) % 2)

    with pytest.raises(CalibrationError, match="1% of 64 features are less than one") as raised:
        accumulator.finish()

    assert "'scale' and 'gen'" in str(raised.value.hint)


def test_without_a_step_nothing_shifts() -> None:
    """`epsilon=0` reads one pass, and Q' is the size of the largest features alone."""
    known, new = images(300, seed=1)[0], images(40, seed=2)[0]
    still = Outputs(logits_of(known), features={"penultimate": known})
    head = fitted("adascale:epsilon=0", still)

    found = head.score(np, Outputs(logits_of(new), features={"penultimate": new}))

    np.testing.assert_array_equal(found, head.score(np, outputs_of(new, new)))
    assert 0 == head.epsilon


def test_the_step_raises_the_largest_logit_where_it_matters_least() -> None:
    """By half a deviation of the normalisation, of the 5 % of the values that are flattest."""
    bound = bind_head("adascale")
    logits = np.array([[1.0, 5.0, 2.0], [-1.0, -2.0, -3.0]])

    (losses,) = bound.losses(np, Outputs(logits, features={"a": logits, "b": logits})).items()

    assert "features/b" == losses[0]
    np.testing.assert_array_equal(losses[1], [-5.0, 1.0])
    assert Step(0.5, flattest=0.05, normalised=True) == bound.step
    assert 153 == bound.step.flattest_of(3 * 32 * 32)
    assert not bound.is_tunable
