"""Atanh."""

import numpy as np
import torch

RNG = np.random.default_rng(61)
CASES = {
    "plane": {
        "op": "Atanh",
        "inputs": [RNG.uniform(-0.9, 0.9, (3, 2, 4))],
        "oracle": torch.atanh,
    },
}
