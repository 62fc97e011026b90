"""Rectifiers with a fixed slope and with one per channel."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(58)
X = RNG.standard_normal((3, 2, 4))
CASES = {
    "default": {"op": "LeakyRelu", "inputs": [X], "oracle": F.leaky_relu},
    "steep": {
        "op": "LeakyRelu",
        "inputs": [X],
        "attributes": {"alpha": 0.3},
        "oracle": lambda x: F.leaky_relu(x, 0.3),
    },
    "per channel": {
        "op": "PRelu",
        "inputs": [X, np.array([[0.2], [-0.4]])],
        "oracle": lambda x, slope: F.prelu(x, slope[:, 0]),
    },
}
