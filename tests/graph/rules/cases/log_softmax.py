"""Logarithm of softmax along any axis."""

import numpy as np
import torch

RNG = np.random.default_rng(38)


def case(axis):
    return {
        "op": "LogSoftmax",
        "inputs": [RNG.standard_normal((3, 4, 5))],
        "attributes": {"axis": axis},
        "oracle": lambda x: torch.log_softmax(x, axis),
    }


CASES = {"default": {**case(-1), "attributes": {}}, "last": case(-1), "middle": case(1)}
