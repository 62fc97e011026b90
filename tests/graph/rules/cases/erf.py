"""Erf."""

import numpy as np
import torch

RNG = np.random.default_rng(11)
CASES = {
    "plane": {
        "op": "Erf",
        "inputs": [RNG.standard_normal((3, 2, 4))],
        "oracle": torch.erf,
    },
}
