"""Limits on both sides, on one, and on none."""

import numpy as np

RNG = np.random.default_rng(46)
INFINITY = float("inf")


def case(low, high):
    given = [None if limit is None else np.array(limit) for limit in (low, high)]
    limits = [-INFINITY if low is None else low, INFINITY if high is None else high]
    return {
        "op": "Clip",
        "inputs": [RNG.uniform(-3, 9, (3, 4, 5)), *given],
        "oracle": lambda x, *_: x.clamp(*limits),
    }


CASES = {
    "relu6": case(0.0, 6.0),
    "below": case(-1.0, None),
    "above": case(None, 2.5),
    "limits that float32 rounds": case(-0.1, 0.7),
    "none": case(None, None),
}
