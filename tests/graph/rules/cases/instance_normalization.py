"""Normalisation of each channel of each image."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(52)
DEFAULT = 1e-5


def case(*shape, epsilon=DEFAULT):
    return {
        "op": "InstanceNormalization",
        "inputs": [0.1 * RNG.standard_normal(shape), *RNG.uniform(0.5, 2, (2, shape[1]))],
        "attributes": {} if epsilon == DEFAULT else {"epsilon": epsilon},
        "oracle": lambda x, scale, bias: F.instance_norm(x, weight=scale, bias=bias, eps=epsilon),
    }


CASES = {
    "plane": case(3, 2, 4, 5),
    "line": case(3, 2, 7),
    "large epsilon": case(3, 2, 7, epsilon=0.5),
}
