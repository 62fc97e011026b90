"""Softplus."""

import numpy as np
import torch

RNG = np.random.default_rng(12)
CASES = {
    "plane": {
        "op": "Softplus",
        "inputs": [RNG.standard_normal((3, 2, 4))],
        "oracle": torch.nn.functional.softplus,
    },
}
