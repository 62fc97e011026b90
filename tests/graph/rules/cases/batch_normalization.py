"""Batch normalisation with fixed statistics."""

import numpy as np
import torch.nn.functional as F  # noqa: N812  # torch's own abbreviation

RNG = np.random.default_rng(34)
DEFAULT = 1e-5


def case(*shape, epsilon=DEFAULT):
    parameters = [RNG.uniform(0.01, 0.1, shape[1]) for _ in range(4)]
    return {
        "op": "BatchNormalization",
        "inputs": [RNG.standard_normal(shape), *parameters],
        "attributes": {} if epsilon == DEFAULT else {"epsilon": epsilon},
        "oracle": lambda x, scale, bias, mean, variance: F.batch_norm(
            x, mean, variance, scale, bias, eps=epsilon
        ),
    }


CASES = {
    "plane": case(3, 4, 2, 5),
    "features": case(3, 4),
    "large epsilon": case(3, 4, 5, epsilon=0.3),
}
