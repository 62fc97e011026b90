"""Concatenation, by each of its inputs."""

import numpy as np
import torch

RNG = np.random.default_rng(35)


def case(axis, *shapes, **settings):
    return {
        "op": "Concat",
        "inputs": [RNG.standard_normal(shape) for shape in shapes],
        "attributes": {"axis": axis},
        "oracle": lambda *arrays: torch.cat(arrays, axis),
        **settings,
    }


CASES = {
    "first": case(1, (3, 2, 4), (3, 5, 4), images=[1]),
    "middle": case(1, (3, 2, 4), (3, 5, 4), (3, 1, 4), wrt=1, images=[0, 2]),
    "last, from the end": case(-1, (3, 2, 4), (3, 2, 1), wrt=1, images=[0]),
    "twice": {
        **case(1, (3, 2, 4)),
        "names": ["x0", "x0"],
        "oracle": lambda x: torch.cat((x, x), 1),
    },
}
