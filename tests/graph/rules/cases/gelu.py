"""Gaussian error linear unit, exact and approximate."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(53)


def case(approximate):
    return {
        "op": "Gelu",
        "inputs": [RNG.uniform(-4, 4, (3, 4, 5))],
        "attributes": {"approximate": approximate},
        "oracle": lambda x: F.gelu(x, approximate=approximate),
        "opset": 20,
    }


CASES = {"exact": case("none"), "tanh": case("tanh")}
