"""Normalisation over the last axes."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(51)
DEFAULT = 1e-5


def case(axis, *shape, bias=True, epsilon=DEFAULT):
    normalised = shape[axis:]
    parameters = [RNG.uniform(0.5, 2, normalised) for _ in range(1 + bias)]
    return {
        "op": "LayerNormalization",
        "inputs": [0.1 * RNG.standard_normal(shape), *parameters],
        "attributes": {} if epsilon == DEFAULT else {"axis": axis, "epsilon": epsilon},
        "oracle": lambda x, *p: F.layer_norm(x, normalised, *p, eps=epsilon),
    }


CASES = {
    "tokens": case(-1, 3, 4, 6),
    "two axes": case(1, 3, 4, 5, epsilon=1e-3),
    "no bias": case(-1, 3, 6, bias=False),
    "large epsilon": case(-1, 3, 6, epsilon=0.5),
}
