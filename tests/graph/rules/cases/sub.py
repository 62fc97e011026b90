"""Subtraction, with broadcasting."""

import numpy as np
import torch

RNG = np.random.default_rng(21)


def case(*shapes, **settings):
    inputs = [RNG.standard_normal(shape) for shape in shapes]
    return {"op": "Sub", "inputs": inputs, "oracle": torch.sub, **settings}


CASES = {
    "minuend": case((3, 2, 4), (2, 1)),
    "subtrahend": case((2, 1), (3, 2, 4), wrt=1),
    "repeated subtrahend": case((3, 2, 4), (2, 1), wrt=1, fixed=True),
}
