"""Abs."""

import numpy as np
import torch

RNG = np.random.default_rng(3)
CASES = {
    "plane": {
        "op": "Abs",
        "inputs": [RNG.standard_normal((3, 2, 4))],
        "oracle": torch.abs,
    },
}
