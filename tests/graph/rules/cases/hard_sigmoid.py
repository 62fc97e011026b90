"""Piecewise linear logistic function."""

import numpy as np

RNG = np.random.default_rng(47)


def case(**attributes):
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return {
        "op": "HardSigmoid",
        "inputs": [RNG.uniform(-5, 5, (3, 4, 5))],
        "attributes": attributes,
        "oracle": lambda x: (alpha * x + beta).clamp(0, 1),
    }


CASES = {"default": case(), "torch": case(alpha=1 / 6, beta=0.5), "falling": case(alpha=-0.5)}
