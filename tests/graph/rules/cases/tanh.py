"""Tanh."""

import numpy as np
import torch

RNG = np.random.default_rng(10)
CASES = {
    "plane": {
        "op": "Tanh",
        "inputs": [RNG.standard_normal((3, 2, 4))],
        "oracle": torch.tanh,
    },
}
