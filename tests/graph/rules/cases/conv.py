"""Convolution: strides, groups, dilations, pads on either side, one to three dimensions."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(2)
CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def case(x, weights, **attributes):
    rank = len(x) - 2
    pads = attributes.get("pads", [0] * 2 * rank)
    # torch lists the last axis first.
    around = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[rank + axis])]
    settings = {
        "stride": attributes.get("strides", 1),
        "dilation": attributes.get("dilations", 1),
        "groups": attributes.get("group", 1),
    }

    def oracle(image, kernel):
        return CONVOLUTIONS[rank](F.pad(image, around), kernel, **settings)

    inputs = [RNG.standard_normal(x), RNG.standard_normal(weights)]
    return {"op": "Conv", "inputs": inputs, "attributes": attributes, "oracle": oracle}


def same(auto_pad, around):
    padded = case((2, 3, 8, 9), (4, 3, 5, 4), auto_pad=auto_pad, strides=[2, 3])
    stride = {"stride": (2, 3)}
    return {**padded, "oracle": lambda x, w: F.conv2d(F.pad(x, around), w, **stride)}


CASES = {
    "plain": case((2, 3, 6, 5), (4, 3, 3, 2)),
    "padded": case((3, 2, 6, 7), (3, 2, 3, 3), pads=[1, 1, 1, 1]),
    "asymmetric pads": case((2, 2, 6, 5), (3, 2, 4, 3), pads=[0, 2, 3, 1]),
    "1x1": case((2, 5, 4, 3), (4, 5, 1, 1)),
    "groups": case((2, 6, 5, 5), (9, 2, 3, 3), group=3, pads=[1, 1, 1, 1]),
    "depthwise": case((2, 4, 6, 6), (4, 1, 3, 3), group=4, pads=[1, 1, 1, 1]),
    "depthwise multiplier": case((2, 3, 6, 6), (6, 1, 3, 3), group=3),
    "dilations": case((2, 2, 9, 10), (3, 2, 3, 3), dilations=[2, 3], pads=[2, 3, 1, 0]),
    "wide pads": case((2, 2, 4, 4), (3, 2, 1, 2), pads=[1, 2, 0, 3]),
    "stride 2": case((3, 9, 8, 8), (5, 9, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),
    "stride 2, odd size": case((2, 8, 7, 9), (4, 8, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),
    "stride 2, 7x7": case((2, 8, 12, 11), (4, 8, 7, 7), strides=[2, 2], pads=[3, 3, 3, 3]),
    "stride 2, 1x1": case((2, 8, 6, 7), (4, 8, 1, 1), strides=[2, 2]),
    "stride 3, 2": case((2, 8, 11, 8), (4, 8, 4, 3), strides=[3, 2], pads=[2, 0, 1, 1]),
    "stride 2, groups": case((2, 8, 6, 8), (6, 4, 3, 3), strides=[2, 2], group=2, pads=[1] * 4),
    "stride 2, depthwise": case((2, 8, 9, 6), (8, 1, 5, 5), strides=[2, 2], group=8, pads=[2] * 4),
    "stride 2, unused end": case((2, 8, 8, 10), (4, 8, 3, 3), strides=[2, 4]),
    "stride 2, cut windows": case((2, 8, 4, 4), (4, 8, 2, 2), strides=[2, 2], pads=[2, 2, 2, 2]),
    "stride 2, few channels": case((2, 3, 9, 8), (6, 3, 7, 7), strides=[2, 2], pads=[3] * 4),
    "stride 2, few, groups": case((2, 4, 9, 8), (6, 2, 3, 3), strides=[2, 3], group=2),
    "stride 2, dilations": case((2, 8, 9, 8), (4, 8, 3, 2), strides=[2, 2], dilations=[2, 3]),
    "stride 1, 2": case((2, 8, 5, 6), (4, 8, 3, 3), strides=[1, 2], pads=[1, 1, 1, 1]),
    "line": case((2, 8, 9), (4, 8, 3), strides=[2], pads=[1, 1]),
    "volume": case((2, 2, 4, 5, 4), (3, 2, 2, 3, 2), strides=[1, 2, 1], pads=[0, 1, 1, 1, 0, 0]),
    "same upper": same("SAME_UPPER", (0, 1, 1, 2)),
    "same lower": same("SAME_LOWER", (1, 0, 2, 1)),
    "same, kernel smaller than stride": {
        **case((2, 3, 7, 7), (4, 3, 1, 1), strides=[3, 3]),
        "attributes": {"auto_pad": "SAME_UPPER", "strides": [3, 3]},
    },
    "valid": {**case((2, 3, 6, 5), (4, 3, 3, 2)), "attributes": {"auto_pad": "VALID"}},
}
