"""Addition and sums of several tensors, with broadcasting."""

import numpy as np

RNG = np.random.default_rng(20)


def case(*shapes, op="Add", **settings):
    inputs = [RNG.standard_normal(shape) for shape in shapes]
    return {"op": op, "inputs": inputs, "oracle": lambda *arrays: sum(arrays), **settings}


CASES = {
    "same shape": case((3, 2, 4), (3, 2, 4), images=[1]),
    "other repeated": case((3, 2, 4), (2, 1)),
    "repeated": case((1, 2, 1), (3, 2, 4), fixed=True),
    "repeated, lower rank": case((2, 1), (3, 5, 2, 4), fixed=True),
    "repeated beside a size of 1": case((2, 1), (3, 1, 2, 4), fixed=True),
    "second": case((3, 2, 4), (1, 4), wrt=1, fixed=True),
    "row per image": case((3, 1, 4), (3, 5, 1), images=[1]),
    "sum of three": case((3, 2, 4), (2, 4), (3, 1, 1), op="Sum", images=[2]),
}
