"""Logarithm of the sum of exponentials over axes."""

import numpy as np
import torch

RNG = np.random.default_rng(42)


def case(axes, keepdims):
    return {
        "op": "ReduceLogSumExp",
        "inputs": [RNG.standard_normal((3, 4, 5)), np.array(axes, np.int64)],
        "attributes": {"keepdims": keepdims},
        "oracle": lambda x, _: torch.logsumexp(x, axes, keepdim=bool(keepdims)),
    }


CASES = {"kept": case([1], 1), "squeezed": case([2], 0), "two axes": case([1, 2], 0)}
