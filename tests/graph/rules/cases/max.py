"""Elementwise maximum and minimum, with broadcasting and ties."""

import numpy as np
import torch

RNG = np.random.default_rng(60)


def case(op, *shapes, tied=False, **settings):
    function = torch.maximum if op == "Max" else torch.minimum
    draw = (lambda s: RNG.integers(0, 3, s).astype(np.float64)) if tied else RNG.standard_normal
    inputs = [draw(shape) for shape in shapes]
    return {"op": op, "inputs": inputs, "oracle": function, **settings}


CASES = {
    "larger": case("Max", (3, 2, 4), (2, 1)),
    "second": case("Max", (3, 2, 4), (3, 2, 4), wrt=1, images=[0]),
    "repeated": case("Max", (2, 1), (3, 2, 4), fixed=True),
    "smaller": case("Min", (3, 2, 4), (3, 2, 4), images=[1]),
    "tied": case("Max", (3, 4, 5), (3, 4, 5), tied=True, images=[1]),
    "three": {
        **case("Min", (3, 4), (3, 4), (3, 4), images=[1, 2]),
        "oracle": lambda a, b, c: torch.minimum(torch.minimum(a, b), c),
    },
    "one": {**case("Max", (3, 4)), "oracle": torch.clone},
}
