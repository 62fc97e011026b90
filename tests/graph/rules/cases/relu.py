"""Relu."""

import numpy as np
import torch

RNG = np.random.default_rng(1)
CASES = {
    "plane": {
        "op": "Relu",
        "inputs": [RNG.standard_normal((3, 2, 4, 5))],
        "oracle": torch.relu,
    },
}
