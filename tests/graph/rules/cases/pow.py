"""Powers of either operand, with broadcasting."""

import numpy as np
import torch

RNG = np.random.default_rng(24)


def case(base, exponent, **settings):
    inputs = [base, np.asarray(exponent)]
    return {"op": "Pow", "inputs": inputs, "oracle": torch.pow, **settings}


SIGNED = RNG.standard_normal((3, 2, 4))
POSITIVE = RNG.uniform(0.3, 2, (3, 2, 4))
WITH_ZERO = np.array([[0.0, 0.5, 2.0], [0.0, 1.0, 3.0]])

CASES = {
    "square": case(SIGNED, 2.0),
    "cube": case(SIGNED, 3.0),
    "integer exponent": case(SIGNED, np.int64(3)),
    "root": case(POSITIVE, 0.5),
    "several exponents": case(POSITIVE, RNG.uniform(-1, 3, (2, 1))),
    "repeated base": case(POSITIVE[:1, :, :1], RNG.uniform(-1, 3, (3, 2, 4)), fixed=True),
    "exponent": case(POSITIVE, RNG.uniform(-1, 3, (3, 2, 4)), wrt=1, images=[0]),
    "exponent of zero": case(WITH_ZERO, RNG.uniform(1, 3, (2, 3)), wrt=1, images=[0]),
    "repeated exponent": case(POSITIVE, RNG.uniform(-1, 3, (2, 1)), wrt=1, fixed=True),
}

EQUIVALENT = {"constant of Where": "the logarithm of what replaces a base of 0 is multiplied by 0"}
