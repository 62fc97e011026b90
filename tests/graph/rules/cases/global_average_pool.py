"""Mean over all positions of each channel."""

import numpy as np

RNG = np.random.default_rng(44)
CASES = {
    "plane": {
        "op": "GlobalAveragePool",
        "inputs": [RNG.standard_normal((3, 2, 4, 5))],
        "oracle": lambda x: x.mean((2, 3), keepdim=True),
    },
    "line": {
        "op": "GlobalAveragePool",
        "inputs": [RNG.standard_normal((3, 2, 4))],
        "oracle": lambda x: x.mean(2, keepdim=True),
    },
}
