"""Matrix products with every transposition, scale and bias."""

from itertools import product

import numpy as np

RNG = np.random.default_rng(33)


def case(wrt, turned_a, turned_b, bias=(5,), **attributes):
    a = RNG.standard_normal((4, 3) if turned_a else (3, 4))
    b = RNG.standard_normal((5, 4) if turned_b else (4, 5))
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)

    def oracle(a, b, c):
        return alpha * (a.T if turned_a else a) @ (b.T if turned_b else b) + beta * c

    return {
        "op": "Gemm",
        "inputs": [a, b, RNG.standard_normal(bias)],
        "attributes": {"transA": turned_a, "transB": turned_b, **attributes},
        "oracle": oracle,
        "wrt": wrt,
        "fixed": True,
    }


CASES = {
    **{f"{'AB'[w]}, {a}, {b}": case(w, a, b) for w, a, b in product((0, 1), repeat=3)},
    "scaled": case(0, 0, 1, alpha=0.7, beta=1.3),
    "scaled, right": case(1, 1, 0, alpha=-0.7),
    "bias": case(2, 0, 0, beta=1.3),
    "bias per row": case(2, 0, 0, bias=(3, 1)),
    "plain": {**case(0, 0, 0), "attributes": {}},
    "open batch": {**case(0, 0, 1), "fixed": False},
}
