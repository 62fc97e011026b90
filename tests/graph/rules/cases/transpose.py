"""Permutation of axes."""

import numpy as np

RNG = np.random.default_rng(29)
X = RNG.standard_normal((3, 2, 4, 5))
CASES = {
    "permuted": {
        "op": "Transpose",
        "inputs": [X],
        "attributes": {"perm": [0, 2, 3, 1]},
        "oracle": lambda x: x.permute(0, 2, 3, 1),
    },
    "reversed": {"op": "Transpose", "inputs": [X], "oracle": lambda x: x.permute(3, 2, 1, 0)},
}
