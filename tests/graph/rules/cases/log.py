"""Log."""

import numpy as np
import torch

RNG = np.random.default_rng(5)
CASES = {
    "plane": {
        "op": "Log",
        "inputs": [RNG.uniform(0.3, 2, (3, 2, 4))],
        "oracle": torch.log,
    },
}
