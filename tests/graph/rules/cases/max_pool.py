"""Max-pooling: strides, pads, dilations, rounding up, ties."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation
from onnx import helper

RNG = np.random.default_rng(49)
POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def case(shape, kernel, tied=False, **attributes):
    rank = len(kernel)
    x = RNG.integers(0, 3, shape).astype(np.float64) if tied else RNG.standard_normal(shape)
    pads = attributes.get("pads", [0] * 2 * rank)
    around = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[rank + axis])]
    settings = {
        "stride": attributes.get("strides", [1] * rank),
        "dilation": attributes.get("dilations", [1] * rank),
        "ceil_mode": bool(attributes.get("ceil_mode", 0)),
    }
    return {
        "op": "MaxPool",
        "inputs": [x],
        "attributes": {"kernel_shape": kernel, **attributes},
        "oracle": lambda x: POOLS[rank](F.pad(x, around, value=-np.inf), kernel, **settings),
    }


def after_relu(shape, kernel=(3, 3), **attributes):
    attributes = attributes or {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    pooled = case(shape, list(kernel), **attributes)
    return {
        **pooled,
        "before": [helper.make_node("Relu", ["x0"], ["r"])],
        "names": ["r"],
        "oracle": lambda x: pooled["oracle"](x.relu()),
    }


CASES = {
    "after relu": after_relu((3, 2, 8, 7)),
    "after relu in blocks": after_relu((3, 8, 8, 7)),
    "after relu in blocks, 2x2": after_relu((2, 8, 6, 9), [2, 2], strides=[2, 2]),
    "after relu in blocks, asymmetric": after_relu(
        (2, 8, 7, 9), [2, 4], strides=[2, 3], pads=[0, 2, 1, 0]
    ),
    "after relu in blocks, tied": after_relu(
        (3, 8, 8, 8), tied=True, strides=[2, 2], pads=[1, 1, 1, 1]
    ),
    "after relu in blocks, padding cut off": after_relu(
        (2, 8, 4, 4), [3, 3], strides=[2, 2], pads=[2, 2, 2, 2]
    ),
    "resnet": case((3, 2, 8, 9), [3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "2x2": case((3, 2, 6, 7), [2, 2], strides=[2, 2]),
    "stride 1": case((2, 2, 5, 5), [3, 3], pads=[1, 1, 1, 1]),
    "asymmetric": case((2, 2, 7, 6), [2, 3], strides=[2, 1], pads=[0, 2, 1, 0]),
    "dilations": case((2, 2, 8, 9), [2, 3], dilations=[3, 2]),
    "rounding up": case((2, 2, 6, 6), [3, 3], strides=[2, 2], ceil_mode=1),
    "tied": case((3, 2, 8, 8), [3, 3], tied=True, strides=[2, 2], pads=[1, 1, 1, 1]),
    "line": case((3, 2, 9), [3], strides=[2], pads=[1, 1]),
    "volume": case((2, 1, 4, 5, 6), [2, 2, 3], strides=[2, 2, 2]),
}
