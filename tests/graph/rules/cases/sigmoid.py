"""Sigmoid."""

import numpy as np
import torch

RNG = np.random.default_rng(9)
CASES = {
    "plane": {
        "op": "Sigmoid",
        "inputs": [RNG.standard_normal((3, 2, 4))],
        "oracle": torch.sigmoid,
    },
}
