"""Weights that the publisher of a network has trained."""

import hashlib

from edge_ood.errors import InputError
from edge_ood.models import family_of
from edge_ood.registry import Spec
from edge_ood.weights.file import Weights

__all__ = ["published_weights"]


def published_weights(model: Spec) -> Weights:
    """The weights of a network under its publisher's name, from a cache or the network.

    Args:
        model: With all its parameters.

    Raises:
        InputError: If nobody publishes weights of that name.
        ArtifactError: If they are not cached and cannot be fetched.
    """
    whole = family_of(model.name).whole
    if whole is None or whole.published is None:
        raise InputError(
            f"nobody publishes weights of {model.name!r}",
            hint="--weights FILE, or a --model of torchvision, such as mobilenet_v3_small, "
            "or of timm, such as timm/efficientnet_lite0",
        )
    arrays = whole.published(model.name, **model.parameters)
    content = hashlib.sha256()
    for name, array in arrays.items():
        content.update(name.encode())
        content.update(array.detach().cpu().contiguous().numpy().tobytes())
    called = f"what {whole.publisher} publishes of {model.name!r}"
    return Weights(called, content.hexdigest(), arrays)
