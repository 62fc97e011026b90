"""Multiplication, with broadcasting."""

import numpy as np
import torch
from onnx import helper

RNG = np.random.default_rng(22)


def case(*shapes, **settings):
    inputs = [RNG.standard_normal(shape) for shape in shapes]
    return {"op": "Mul", "inputs": inputs, "oracle": torch.mul, **settings}


CASES = {
    "first": case((3, 2, 4), (3, 2, 4), images=[1]),
    "second": case((3, 2, 4), (3, 2, 4), wrt=1, images=[0]),
    "squeeze and excite": case((3, 2, 1, 1), (3, 2, 4, 5), images=[1]),
    "repeated": case((2, 1), (3, 2, 4), fixed=True),
    "square": {
        "op": "Mul",
        "inputs": [RNG.standard_normal((3, 4))],
        "names": ["x0", "x0"],
        "oracle": torch.square,
    },
    "in two places": {
        "op": "Mul",
        "inputs": [RNG.standard_normal((3, 4))],
        "before": [helper.make_node("Exp", ["x0"], ["e"])],
        "names": ["e", "x0"],
        "oracle": lambda x: torch.exp(x) * x,
    },
}
