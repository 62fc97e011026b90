"""Division, with broadcasting."""

import numpy as np
import torch

RNG = np.random.default_rng(23)


def case(*shapes, **settings):
    inputs = [RNG.uniform(0.5, 2, shape) for shape in shapes]
    return {"op": "Div", "inputs": inputs, "oracle": torch.div, **settings}


CASES = {
    "dividend": case((3, 2, 4), (2, 1)),
    "repeated dividend": case((2, 1), (3, 2, 4), fixed=True),
    "divisor": case((3, 2, 4), (3, 2, 4), wrt=1, images=[0]),
    "repeated divisor": case((3, 2, 4), (2, 1), wrt=1, fixed=True),
}
