"""Operators without a derivative, as one factor of a product."""

import numpy as np
import torch
from onnx import helper

RNG = np.random.default_rng(27)


def case(op, function):
    return {
        "op": op,
        "inputs": [RNG.uniform(-3, 3, (3, 4))],
        "outputs": ["r"],
        "then": [helper.make_node("Mul", ["r", "x0"], ["y"])],
        "oracle": lambda x: function(x).detach() * x,
    }


CASES = {
    "ceil": case("Ceil", torch.ceil),
    "floor": case("Floor", torch.floor),
    "round": case("Round", torch.round),
    "sign": case("Sign", torch.sign),
}
