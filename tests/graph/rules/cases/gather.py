"""Slices at constant and at computed indices."""

import numpy as np
from onnx import helper

RNG = np.random.default_rng(54)


def case(indices, axis, oracle):
    return {
        "op": "Gather",
        "inputs": [RNG.standard_normal((3, 5, 4)), np.array(indices, np.int64)],
        "attributes": {"axis": axis},
        "oracle": lambda x, _: oracle(x),
    }


CASES = {
    "class token": case(0, 1, lambda x: x[:, 0]),
    "last": case(-1, 2, lambda x: x[..., -1]),
    "stretch": case([1, 2, 3], 1, lambda x: x[:, 1:4]),
    "repeated": case([4, 0, 4, -2], 1, lambda x: x[:, [4, 0, 4, 3]]),
    "last axis": case([3, 1], -1, lambda x: x[..., [3, 1]]),
    "table": case([[0, 2, 2], [4, 1, 3]], 1, lambda x: x[:, [[0, 2, 2], [4, 1, 3]]]),
    "table inside": {
        "op": "Gather",
        "inputs": [RNG.standard_normal((3, 5, 4, 2)), np.array([[0, 2, 2], [4, 1, 3]])],
        "attributes": {"axis": 1},
        "oracle": lambda x, i: x[:, i],
    },
    "first axis": {
        "op": "Gather",
        "inputs": [RNG.standard_normal((3, 4)), np.array([2, 0, 2])],
        "oracle": lambda x, i: x[i],
        "fixed": True,
    },
    "computed": {
        "op": "Gather",
        "inputs": [RNG.standard_normal((4, 4, 2))],
        "before": [helper.make_node("ArgMax", ["x0"], ["i"], axis=2, keepdims=0)],
        "names": ["x0", "i"],
        "attributes": {"axis": 1},
        "oracle": lambda x: x[:, x.argmax(2)],
    },
    "computed, one axis": {
        "op": "Gather",
        "inputs": [RNG.standard_normal((4, 3))],
        "before": [helper.make_node("ArgMax", ["x0"], ["i"], axis=1, keepdims=0)],
        "names": ["x0", "i"],
        "attributes": {"axis": 1},
        "oracle": lambda x: x[:, x.argmax(1)],
    },
}
