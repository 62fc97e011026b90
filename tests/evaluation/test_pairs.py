"""Which two heads are told to be combined, on scores whose sum is known to tell more, or not to."""

import re

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edge_ood.evaluation.pairs import pair_sentence
from edge_ood.evaluation.results import Bootstrap

N_ID, N_OOD = 600, 300
FIRST = np.arange(N_ID) % 3 == 0
GROUPS = [["svhn", "dtd"], ["cifar"]]
BOOTSTRAP = Bootstrap(replicates=200)


def scores(shift: dict[str, float], seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Independent normal scores by head, of which those of OOD images are shifted."""
    generator = np.random.default_rng(seed)
    return {
        head: {
            "": generator.normal(0, 1, N_ID).astype(np.float32),
            **{
                name: generator.normal(by, 1, N_OOD).astype(np.float32)
                for group in GROUPS
                for name in group
            },
        }
        for head, by in shift.items()
    }


def surprise(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the p-value, and beyond all known scores an exponential tail."""
    n, largest = len(known), known.max()
    reached = (known >= values[:, None]).sum(axis=1)
    scale = (largest - np.median(known)) / np.log((n + 1) / 2)
    return -np.log((1 + reached) / (n + 1)) + np.maximum(0, values - largest) / scale


def mean_auroc(known: np.ndarray, by_set: dict[str, np.ndarray]) -> float:
    """Over the groups of the mean over sets, by scikit-learn."""
    return float(
        np.mean(
            [
                np.mean(
                    [
                        roc_auc_score(
                            np.repeat([0, 1], [len(known), N_OOD]),
                            np.concatenate([known, by_set[name]]),
                        )
                        for name in group
                    ]
                )
                for group in GROUPS
            ]
        )
    )


def test_two_heads_that_err_apart_are_told() -> None:
    """Of independent scores the two best; their AUROC is that of the half that fixed nothing."""
    given = scores({"a": 0.2, "b": 1.2, "c": 1.2})
    parts = {
        name: [surprise(given[h][""][FIRST], given[h][name]) for h in "bc"] for name in given["b"]
    }
    sums = {name: np.sum(values, axis=0) for name, values in parts.items()}
    together = mean_auroc(sums[""][~FIRST], sums)
    alone = mean_auroc(given["c"][""][~FIRST], given["c"])

    found = pair_sentence("c", given, GROUPS, FIRST, BOOTSTRAP)

    assert found.startswith("Together 'b' and 'c' have ")
    told = [float(rate) for rate in re.findall(r"have ([\d.]+)%, 'c' has ([\d.]+)%;", found)[0]]
    assert [100 * together, 100 * alone] == pytest.approx(told, abs=0.05)
    assert "(95% interval): --scores combined:of=b+c. Of 3 pairs it is the best" in found
    assert found.endswith("of the other 400.")


def test_the_interval_is_of_the_difference() -> None:
    """It has the difference inside, and is as wide as twice 1.96 deviations of other samples."""
    given = scores({"b": 1.2, "c": 1.2})
    differences = []
    for seed in range(20):
        drawn = scores({"b": 1.2, "c": 1.2}, seed)
        total = {n: drawn["b"][n] + drawn["c"][n] for n in drawn["b"]}
        differences.append(
            mean_auroc(total[""][~FIRST], total) - mean_auroc(drawn["c"][""][~FIRST], drawn["c"])
        )

    found = pair_sentence("c", given, GROUPS, FIRST, BOOTSTRAP)

    low, high = map(float, re.findall(r"is ([\d.]+) to ([\d.]+) points", found)[0])
    assert low < 100 * np.mean(differences) < high
    assert high - low == pytest.approx(2 * 196 * np.std(differences), rel=0.5)


@pytest.mark.parametrize(
    ("head", "shift"),
    [
        ("c", {"a": 0.0, "b": 0.0, "c": 1.0}),
        ("a", {"a": 1.0, "b": 1.0, "combined": 2.0}),
        ("combined", {"a": 1.0, "b": 1.0, "combined": 1.45}),
        ("c", {"c": 1.0}),
    ],
)
def test_nothing_is_told_where_one_score_tells_as_much(head: str, shift: dict[str, float]) -> None:
    """A head that the others spoil, the artefact's own `combined`, or a head alone."""
    assert "" == pair_sentence(head, scores(shift), GROUPS, FIRST, BOOTSTRAP)


def test_nothing_is_told_without_evidence() -> None:
    """Without bootstrap nobody knows what is chance, and 99 images fix no surprise."""
    given = scores({"b": 1.2, "c": 1.2})

    assert pair_sentence("c", given, GROUPS, np.arange(N_ID) < 100, BOOTSTRAP)
    assert "" == pair_sentence("c", given, GROUPS, np.arange(N_ID) < 99, BOOTSTRAP)
    assert "" == pair_sentence("c", given, GROUPS, np.arange(N_ID) >= 99, BOOTSTRAP)
    assert "" == pair_sentence("c", given, GROUPS, FIRST, Bootstrap(replicates=0))
