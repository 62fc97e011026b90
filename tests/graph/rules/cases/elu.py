"""Exponential linear unit."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(59)
X = RNG.standard_normal((3, 2, 4))
CASES = {
    "default": {"op": "Elu", "inputs": [X], "oracle": F.elu},
    "scaled": {
        "op": "Elu",
        "inputs": [X],
        "attributes": {"alpha": 0.3},
        "oracle": lambda x: F.elu(x, 0.3),
    },
}
