"""Exp."""

import numpy as np
import torch

RNG = np.random.default_rng(4)
CASES = {
    "plane": {
        "op": "Exp",
        "inputs": [RNG.standard_normal((3, 2, 4))],
        "oracle": torch.exp,
    },
}
