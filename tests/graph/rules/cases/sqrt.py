"""Sqrt."""

import numpy as np
import torch

RNG = np.random.default_rng(8)
CASES = {
    "plane": {
        "op": "Sqrt",
        "inputs": [RNG.uniform(0.3, 2, (3, 2, 4))],
        "oracle": torch.sqrt,
    },
}
