"""Padding with a constant, by repetition and by reflection; negative widths."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(57)


def case(pads, around, mode="constant", axes=None):
    others = [np.array(pads, np.int64), np.array(0.5)]
    if axes is not None:
        others.append(np.array(axes, np.int64))
    names = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
    value = {"value": 0.5} if mode == "constant" else {}
    return {
        "op": "Pad",
        "inputs": [RNG.standard_normal((2, 2, 4, 5)), *others],
        "attributes": {"mode": mode},
        "oracle": lambda x, *_: F.pad(x, around, mode=names[mode], **value),
        "opset": 19,
    }


CASES = {
    "constant": case([0, 0, 1, 0, 0, 0, 2, 3], (0, 3, 1, 2)),
    "some axes": case([1, 2, 0, 1], (2, 1, 1, 0), axes=[2, -1]),
    "cut": case([0, 0, -1, 2, 0, 0, 1, -2], (2, -2, -1, 1)),
    "edge": case([0, 0, 1, 2, 0, 0, 0, 1], (2, 1, 1, 0), "edge"),
    "reflect": case([0, 0, 2, 1, 0, 0, 1, 3], (1, 3, 2, 1), "reflect"),
    "wrap": case([0, 0, 1, 0, 0, 0, 0, 2], (0, 2, 1, 0), "wrap"),
}
