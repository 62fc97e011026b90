"""Slices at tuples of indices, some of them repeated, with and without batch axes."""

import numpy as np
import torch
from onnx import helper

RNG = np.random.default_rng(62)


def case(indices):
    return {
        "op": "GatherND",
        "inputs": [RNG.standard_normal((3, 4, 5)), np.array(indices)],
        "oracle": lambda x, i: x[tuple(i.movedim(-1, 0))],
        "fixed": True,
    }


CASES = {
    "elements": case([[0, 1, 2], [2, 3, 4], [0, 1, 2]]),
    "rows": case([[0, 1], [2, -1], [0, 1]]),
    "table of planes": case([[[2], [0]], [[1], [2]]]),
    "two batch axes": {
        "op": "GatherND",
        "inputs": [RNG.standard_normal((2, 3, 4, 5)), RNG.integers(0, 4, (2, 3, 6, 1))],
        "attributes": {"batch_dims": 2},
        "oracle": lambda x, i: torch.gather(x, 2, i.expand(2, 3, 6, 5)),
        "fixed": True,
    },
    "pairs in a batch": {
        "op": "GatherND",
        "inputs": [RNG.standard_normal((2, 4, 5)), np.array([[[1, 2], [3, 4]], [[1, 2], [1, 2]]])],
        "attributes": {"batch_dims": 1},
        "oracle": lambda x, i: torch.stack([one[tuple(j.T)] for one, j in zip(x, i, strict=True)]),
        "fixed": True,
    },
    "predicted": {
        "op": "GatherND",
        "inputs": [RNG.standard_normal((3, 5))],
        "before": [helper.make_node("ArgMax", ["x0"], ["i"], axis=1, keepdims=1)],
        "names": ["x0", "i"],
        "attributes": {"batch_dims": 1},
        "oracle": lambda x: x.amax(1),
    },
}
