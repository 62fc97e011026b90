"""Neg."""

import numpy as np
import torch

RNG = np.random.default_rng(6)
CASES = {
    "plane": {
        "op": "Neg",
        "inputs": [RNG.standard_normal((3, 2, 4))],
        "oracle": torch.neg,
    },
}
