"""Conversion to another floating-point type and back."""

import numpy as np
import torch
from onnx import TensorProto, helper

RNG = np.random.default_rng(26)
CASES = {
    "there and back": {
        "op": "Cast",
        "inputs": [RNG.standard_normal((3, 4))],
        "attributes": {"to": TensorProto.DOUBLE},
        "outputs": ["d"],
        "then": [
            helper.make_node("Mul", ["d", "d"], ["e"]),
            helper.make_node("Cast", ["e"], ["y"], to=TensorProto.FLOAT),
        ],
        "oracle": torch.square,
    },
    "like another": {
        "op": "CastLike",
        "inputs": [RNG.standard_normal((3, 4)), np.zeros(1)],
        "oracle": lambda x, like: x.clone(),
    },
}
