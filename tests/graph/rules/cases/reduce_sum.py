"""Sums and means over axes, given in either way."""

import numpy as np
import torch

RNG = np.random.default_rng(39)
X = RNG.standard_normal((3, 2, 4, 5))


def case(op, axes, keepdims=1, *, as_attribute=False, **attributes):
    function = torch.sum if op == "ReduceSum" else torch.mean
    attributes = {"keepdims": keepdims, **attributes}
    if as_attribute:
        attributes["axes"] = axes
    inputs = [X] if as_attribute or axes is None else [X, np.array(axes, np.int64)]
    dims = list(range(4)) if axes is None else axes
    return {
        "op": op,
        "inputs": inputs,
        "attributes": attributes,
        "oracle": lambda x, *_: function(x, dims, keepdim=bool(keepdims)),
        "opset": 13 if as_attribute else 18,
    }


CASES = {
    "sum": case("ReduceSum", [1, 2]),
    "sum, squeezed": case("ReduceSum", [-1, 1], 0),
    "sum of everything": case("ReduceSum", None, 0),
    "no axes": {
        **case("ReduceSum", None, noop_with_empty_axes=1),
        "oracle": lambda x: x.clone(),
    },
    "mean": case("ReduceMean", [2, 3]),
    "mean, squeezed": case("ReduceMean", [2, -1], 0),
    "mean, opset 13": case("ReduceMean", [2, 3], 0, as_attribute=True),
    "mean over the batch": case("ReduceMean", [0, 2]),
}

EQUIVALENT = {"ReduceProd.keepdims": "one number, with or without an axis"}
