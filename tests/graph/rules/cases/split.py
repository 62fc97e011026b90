"""Splitting, with all pieces used and with some."""

import numpy as np
import torch
from onnx import helper

RNG = np.random.default_rng(36)
X = RNG.standard_normal((3, 6, 4))


def case(oracle, then, *others, **settings):
    return {
        "op": "Split",
        "inputs": [X, *others],
        "outputs": ["a", "b"],
        "then": then,
        "oracle": oracle,
        **settings,
    }


SWAPPED = [helper.make_node("Concat", ["b", "a"], ["y"], axis=1)]
CASES = {
    "halves": case(
        lambda x: torch.cat((x[:, 3:], x[:, :3]), 1),
        SWAPPED,
        attributes={"axis": 1, "num_outputs": 2},
    ),
    "given sizes": case(
        lambda x, _: torch.cat((x[:, 2:], x[:, :2]), 1),
        SWAPPED,
        np.array([2, 4]),
        attributes={"axis": 1},
    ),
    "first axis": {
        **case(
            lambda x, _: torch.cat((x[1:], x[:1])),
            [helper.make_node("Concat", ["b", "a"], ["y"], axis=0)],
            np.array([1, 2]),
        ),
        "fixed": True,
    },
    "first piece unused": case(
        lambda x: torch.exp(x[..., 2:]),
        [helper.make_node("Exp", ["b"], ["y"])],
        attributes={"axis": -1, "num_outputs": 2},
    ),
}
