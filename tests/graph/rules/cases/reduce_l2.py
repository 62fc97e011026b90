"""Euclidean norm over axes."""

import numpy as np
import torch

RNG = np.random.default_rng(41)


def case(axes, keepdims):
    return {
        "op": "ReduceL2",
        "inputs": [RNG.standard_normal((3, 4, 5)), np.array(axes, np.int64)],
        "attributes": {"keepdims": keepdims},
        "oracle": lambda x, _: torch.linalg.vector_norm(x, 2, axes, keepdim=bool(keepdims)),
    }


CASES = {"kept": case([1], 1), "squeezed": case([2], 0), "two axes": case([1, 2], 0)}
