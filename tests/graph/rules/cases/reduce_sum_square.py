"""Sum of squares over axes."""

import numpy as np

RNG = np.random.default_rng(43)


def case(axes, keepdims):
    return {
        "op": "ReduceSumSquare",
        "inputs": [RNG.standard_normal((3, 4, 5)), np.array(axes, np.int64)],
        "attributes": {"keepdims": keepdims},
        "oracle": lambda x, _: (x * x).sum(axes, keepdim=bool(keepdims)),
    }


CASES = {"kept": case([1], 1), "squeezed": case([2], 0), "two axes": case([1, 2], 0)}
