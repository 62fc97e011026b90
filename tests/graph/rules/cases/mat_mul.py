"""Matrix products: batched, repeated over a batch, and with vectors."""

import numpy as np
import torch

RNG = np.random.default_rng(32)


def case(*shapes, **settings):
    inputs = [RNG.standard_normal(shape) for shape in shapes]
    return {"op": "MatMul", "inputs": inputs, "oracle": torch.matmul, **settings}


CASES = {
    "matrix": case((3, 4), (4, 5)),
    "matrix, right": case((3, 4), (4, 5), wrt=1, fixed=True),
    "tokens by weights": case((3, 6, 4), (4, 5)),
    "batched": case((3, 2, 4, 5), (3, 2, 5, 6), images=[1]),
    "batched, right": case((3, 2, 4, 5), (3, 2, 5, 6), wrt=1, images=[0]),
    "right repeated": case((3, 2, 4, 5), (5, 6), wrt=1, fixed=True),
    "right repeated inside": case((3, 2, 4, 5), (3, 1, 5, 6), wrt=1, images=[0]),
    "right repeated, lower rank": case((3, 2, 4, 5), (1, 5, 6), wrt=1, fixed=True),
    "left repeated": case((4, 5), (3, 2, 5, 6), fixed=True),
    "vector on the right": case((3, 4, 5), (5,)),
    "by the vector on the right": case((3, 4, 5), (5,), wrt=1, fixed=True),
    "vector on the left": case((4,), (3, 4, 5), wrt=1),
    "by the vector on the left": case((4,), (3, 4, 5), fixed=True),
    "two vectors": case((4,), (4,), fixed=True),
}

EQUIVALENT = {"ReduceSum.keepdims": "a Reshape to the shape of the factor follows"}
