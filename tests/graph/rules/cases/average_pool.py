"""Average pooling: strides, pads that count or do not, rounding up."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(50)
POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def case(shape, kernel, stride, pad=0, **attributes):
    """Symmetric pads, which are all that torch has."""
    rank = len(kernel)
    settings = {
        "ceil_mode": bool(attributes.get("ceil_mode", 0)),
        "count_include_pad": bool(attributes.get("count_include_pad", 0)),
    }
    geometry = {"kernel_shape": kernel, "strides": [stride] * rank, "pads": [pad] * 2 * rank}
    return {
        "op": "AveragePool",
        "inputs": [RNG.standard_normal(shape)],
        "attributes": {**geometry, **attributes},
        "oracle": lambda x: POOLS[rank](x, kernel, stride, pad, **settings),
    }


def asymmetric(count_include_pad):
    """No oracle in torch: central differences."""
    return {
        "op": "AveragePool",
        "inputs": [RNG.standard_normal((2, 2, 5, 4))],
        "attributes": {
            "kernel_shape": [3, 2],
            "strides": [2, 1],
            "pads": [1, 0, 2, 1],
            "count_include_pad": count_include_pad,
        },
    }


CASES = {
    "halved": case((3, 2, 6, 8), [2, 2], 2),
    "halved, many channels": case((2, 8, 6, 8), [2, 2], 2),
    "halved, odd size": case((3, 8, 7, 5), [2, 2], 2),
    "inception": case((2, 3, 5, 6), [3, 3], 1, 1, count_include_pad=1),
    "edges count less": case((2, 3, 5, 6), [3, 3], 1, 1),
    "stride 2": case((2, 8, 7, 8), [3, 3], 2, 1),
    "rounding up": case((2, 2, 6, 7), [3, 3], 2, ceil_mode=1),
    "rounding up, padded": case((2, 2, 7, 7), [3, 3], 3, 1, ceil_mode=1),
    "line": case((3, 2, 9), [3], 2),
    "volume": case((2, 2, 4, 4, 6), [2, 2, 3], 2),
    "asymmetric": asymmetric(0),
    "asymmetric, all count": asymmetric(1),
}
