"""Reciprocal."""

import numpy as np
import torch

RNG = np.random.default_rng(7)
CASES = {
    "plane": {
        "op": "Reciprocal",
        "inputs": [RNG.uniform(0.3, 2, (3, 2, 4))],
        "oracle": torch.reciprocal,
    },
}
