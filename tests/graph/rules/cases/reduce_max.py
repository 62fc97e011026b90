"""Largest and smallest elements over axes, ties included."""

import numpy as np
import torch

RNG = np.random.default_rng(40)


def case(op, x, axes, keepdims=1):
    function = torch.amax if op == "ReduceMax" else torch.amin
    return {
        "op": op,
        "inputs": [x, np.array(axes, np.int64)],
        "attributes": {"keepdims": keepdims},
        "oracle": lambda x, _: function(x, axes, keepdim=bool(keepdims)),
    }


X = RNG.standard_normal((3, 4, 5))
TIED = RNG.integers(0, 3, (3, 4, 5)).astype(np.float64)
CASES = {
    "largest": case("ReduceMax", X, [1]),
    "squeezed": case("ReduceMax", X, [-1], 0),
    "two axes": case("ReduceMax", X, [1, 2], 0),
    "tied": case("ReduceMax", TIED, [1]),
    "no axes": {
        "op": "ReduceMax",
        "inputs": [X],
        "attributes": {"noop_with_empty_axes": 1},
        "oracle": torch.clone,
    },
    "smallest": case("ReduceMin", TIED, [2], 0),
}
