"""x times a piecewise linear logistic function."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(48)
CASES = {
    "plane": {
        "op": "HardSwish",
        "inputs": [RNG.uniform(-5, 5, (3, 4, 5))],
        "oracle": F.hardswish,
    },
}
