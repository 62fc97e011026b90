"""Identity, and dropout outside training."""

import numpy as np
import torch

RNG = np.random.default_rng(25)
X = RNG.standard_normal((3, 4))
CASES = {
    "identity": {"op": "Identity", "inputs": [X], "oracle": torch.clone},
    "dropout": {
        "op": "Dropout",
        "inputs": [X, np.array(0.5), np.array(False)],
        "oracle": lambda x, ratio, training: x.clone(),
    },
}
