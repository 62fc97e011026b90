"""Stretches along axes, with steps and from the end."""

import numpy as np

RNG = np.random.default_rng(56)
FAR = np.iinfo(np.int64).max


def case(oracle, *bounds):
    return {
        "op": "Slice",
        "inputs": [RNG.standard_normal((3, 5, 6)), *(np.array(b, np.int64) for b in bounds)],
        "oracle": lambda x, *_: oracle(x),
    }


CASES = {
    "inner": case(lambda x: x[:, 1:4], [1], [4], [1]),
    "two axes": case(lambda x: x[:, 1:, :-2], [1, 0], [FAR, -2], [1, 2]),
    "no axes given": case(lambda x: x[:, 2:4], [0, 2], [FAR, 4]),
    "step": case(lambda x: x[..., 1::2], [1], [FAR], [2], [2]),
    "step of the middle axis": case(lambda x: x[:, ::3], [0], [FAR], [1], [3]),
    "reversed": case(lambda x: x.flip(1), [-1], [-FAR], [-2], [-1]),
    "every other from the end": case(lambda x: x[..., [4, 2]], [4], [0], [2], [-2]),
}
