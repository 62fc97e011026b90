"""Single elements, such as the logit of the predicted class."""

import numpy as np
import torch
from onnx import helper

RNG = np.random.default_rng(55)
CASES = {
    "predicted": {
        "op": "GatherElements",
        "inputs": [RNG.standard_normal((3, 5))],
        "before": [helper.make_node("ArgMax", ["x0"], ["i"], axis=1, keepdims=1)],
        "names": ["x0", "i"],
        "attributes": {"axis": 1},
        "oracle": lambda x: x.amax(1, keepdim=True),
    },
    "repeated": {
        "op": "GatherElements",
        "inputs": [RNG.standard_normal((3, 5)), np.array([[0, 0], [2, 2], [1, 0]])],
        "oracle": lambda x, i: torch.gather(x, 0, i),
        "fixed": True,
    },
}
