"""Largest value of each channel, ties included."""

import numpy as np

RNG = np.random.default_rng(45)
CASES = {
    "plane": {
        "op": "GlobalMaxPool",
        "inputs": [RNG.standard_normal((3, 2, 4, 5))],
        "oracle": lambda x: x.amax((2, 3), keepdim=True),
    },
    "tied": {
        "op": "GlobalMaxPool",
        "inputs": [RNG.integers(0, 3, (3, 2, 4)).astype(np.float64)],
        "oracle": lambda x: x.amax(2, keepdim=True),
    },
}
