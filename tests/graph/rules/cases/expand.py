"""Broadcasting to a shape."""

import numpy as np

RNG = np.random.default_rng(30)


def case(shape, target, **settings):
    inputs = [RNG.standard_normal(shape), np.array(target, np.int64)]
    return {
        "op": "Expand",
        "inputs": inputs,
        "oracle": lambda x, _: x.expand(np.broadcast_shapes(shape, target)),
        **settings,
    }


CASES = {
    "inner axis": case((3, 1, 4), (1, 5, 4)),
    "new axes": case((3, 4), (2, 5, 3, 4), fixed=True),
    "both": case((1, 4, 1), (2, 3, 4, 5), fixed=True),
}
