"""Operators that only change the shape."""

import numpy as np
from onnx import helper

RNG = np.random.default_rng(28)


def case(op, oracle, *others, shape=(3, 2, 1, 4), **settings):
    inputs = [RNG.standard_normal(shape), *(np.array(o, np.int64) for o in others)]
    return {"op": op, "inputs": inputs, "oracle": lambda x, *_: oracle(x), **settings}


CASES = {
    "reshape": case("Reshape", lambda x: x.reshape(3, 8), [0, -1]),
    "reshape across images": case("Reshape", lambda x: x.reshape(6, 4), [-1, 4]),
    "reshape to a computed shape": {
        **case("Reshape", lambda x: x.reshape(4, 2, 3, 1)),
        "before": [
            helper.make_node("Shape", ["x0"], ["s"]),
            helper.make_node("Constant", [], ["order"], value_ints=[3, 1, 0, 2]),
            helper.make_node("Gather", ["s", "order"], ["t"]),
        ],
        "names": ["x0", "t"],
    },
    "of an open shape": {
        **case("Reshape", lambda x: (x[None] + x[:, None]).reshape(3, -1), shape=(3, 2)),
        "before": [
            helper.make_node("Constant", [], ["first"], value_ints=[0]),
            helper.make_node("Constant", [], ["second"], value_ints=[1]),
            helper.make_node("Constant", [], ["flat"], value_ints=[0, -1]),
            helper.make_node("Unsqueeze", ["x0", "first"], ["a"]),
            helper.make_node("Unsqueeze", ["x0", "second"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["pairs"]),
        ],
        "names": ["pairs", "flat"],
    },
    "flatten": case("Flatten", lambda x: x.reshape(3, 8), attributes={"axis": 1}),
    "flatten all": case("Flatten", lambda x: x.reshape(1, 24), attributes={"axis": 0}),
    "squeeze": case("Squeeze", lambda x: x.squeeze(2), [2]),
    "unsqueeze": case("Unsqueeze", lambda x: x[:, None, ..., None], [1, -1]),
}

EQUIVALENT = {"ReduceSum.keepdims": "a Reshape follows the sum in the case of an open shape"}
