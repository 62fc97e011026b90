"""A network that is trained already, whoever trained it, as a classifier that can be exported."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from edge_ood.errors import ArtifactError
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.images.splits import evenly_spread
from edge_ood.metrics.classification import check_better_than_chance
from edge_ood.models import (
    Classifier,
    WholeNetworks,
    bind_model,
    build_classifier,
    family_of,
    merge_heads,
)
from edge_ood.registry import Spec
from edge_ood.torch_export.penultimate import check_network, find_features
from edge_ood.training.batches import normalised
from edge_ood.weights.file import Weights, load_into, read_weights, unwrapped
from edge_ood.weights.source import NetworkSource, settled_preprocess

__all__ = ["Loaded", "check_accuracy", "load_network"]

_HEADS = "heads.linear."
_FIRST_HEAD = f"{_HEADS}0.weight"
_OURS = ("trunk.", "heads.")
_TRIED_IMAGES = 128
_IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class Loaded:
    """A trained network, ready to be exported.

    Attributes:
        classifier: Maps normalised images (N, 3, S, S) to `Outputs`, in evaluation mode.
        preprocess: From a file to its input.
        provenance: Model, heads and weights, for the metadata.
        notes: What the user should know, one sentence each.
    """

    classifier: nn.Module
    preprocess: Preprocess
    provenance: Mapping[str, Any]
    notes: tuple[str, ...]


def load_network(source: NetworkSource, classes: int) -> Loaded:
    """Build a network, fill it with its weights and try it once.

    Weights under the names of a run directory fill our own classifier, any others the network as
    it is known outside edge-ood.

    Args:
        source: Model, weights and preprocessing.
        classes: K, the number of class folders.

    Raises:
        ArtifactError: If the weights cannot be read or do not fit.
        InputError: If the model is unknown, gives anything but K logits an image, or its
            preprocessing is neither given nor published.
    """
    model = bind_model(source.model)
    assert source.weights is not None  # nothing can be exported for which no images are known
    weights = read_weights(source.weights)
    ours = _FIRST_HEAD in weights.arrays and all(name.startswith(_OURS) for name in weights.arrays)
    whole = None if ours else _whole(source, model, weights)
    network = whole.build(model.name, classes, **model.parameters).eval() if whole else None
    preprocess, taken, notes = settled_preprocess(source, model, whole, network)
    if whole is None or network is None:
        classifier: nn.Module = _ours(model, weights, classes)
        check_network(model.name, classifier, preprocess.size_px, classes)
    else:
        weights = unwrapped(weights, network.state_dict())
        load_into(network, replace(weights, arrays=whole.renamed(weights.arrays)), classes)
        classifier, said = find_features(model.name, network, preprocess.size_px, classes)
        notes += said
    provenance = {
        "model": model.name,
        "model_parameters": dict(model.parameters),
        "heads": _heads(weights) if ours else 1,
        "weights": {"file": source.weights.name, "sha256": weights.sha256},
        **({"published_preprocess": taken} if taken else {}),
    }
    return Loaded(classifier, preprocess, provenance, (*weights.notes, *notes))


def check_accuracy(loaded: Loaded, training: ImageSet) -> float:
    """Share in [0, 1] of at most 128 training images that the network classifies correctly.

    Args:
        loaded: A trained network.
        training: Its labelled training images.

    Raises:
        DataError: If it is no better than chance.
    """
    chosen = evenly_spread(training, _TRIED_IMAGES)
    assert chosen.labels is not None  # training images are in class folders
    pixels, _ = decode_all(chosen.paths, loaded.preprocess)
    with torch.inference_mode():
        found = [
            loaded.classifier(normalised(batch, loaded.preprocess)).logits.argmax(1)
            for batch in torch.split(torch.from_numpy(pixels), _IMAGES_AT_ONCE)
        ]
    accuracy = float((torch.cat(found).numpy() == chosen.labels).mean())
    check_better_than_chance(
        accuracy,
        chosen.labels,
        "training images",
        "the class folders, sorted, must be in the order of the outputs; check --mean, --std and "
        "--image-size, too",
    )
    return accuracy


def _whole(source: NetworkSource, model: Spec, weights: Weights) -> WholeNetworks:
    whole = family_of(model.name).whole
    if whole is None:
        raise ArtifactError(
            f"'{source.weights}' names {next(iter(weights.arrays))!r}, expected names of a run of "
            f"{model.name!r}, such as '{_FIRST_HEAD}'",
            hint="--model package.module:function builds the network that the weights belong to",
        )
    return whole


def _heads(weights: Weights) -> int:
    return len({name.split(".")[2] for name in weights.arrays if name.startswith(_HEADS)})


def _ours(model: Spec, weights: Weights, classes: int) -> Classifier:
    trained = build_classifier(model, classes, heads=_heads(weights))
    load_into(trained, weights, classes)
    return merge_heads(trained)
