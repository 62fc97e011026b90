"""Choice between two tensors, with broadcasting."""

import numpy as np
import torch

RNG = np.random.default_rng(31)
CHOICE = RNG.random((3, 2, 4)) < 0.5


def case(*shapes, **settings):
    inputs = [CHOICE, *(RNG.standard_normal(shape) for shape in shapes)]
    return {"op": "Where", "inputs": inputs, "oracle": torch.where, **settings}


CASES = {
    "by a row": {
        "op": "Where",
        "inputs": [CHOICE[0], RNG.standard_normal((3, 2, 4)), np.array(0.5)],
        "oracle": torch.where,
        "wrt": 1,
    },
    "first": case((3, 2, 4), (2, 1), wrt=1, fixed=True),
    "second": case((2, 1), (3, 2, 4), wrt=2, fixed=True),
    "repeated": case((3, 2, 4), (2, 1), wrt=2, fixed=True),
}
