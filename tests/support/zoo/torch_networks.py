"""What the cases of PyTorch share: a network that is taught four classes, its file, its answer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.case import Predict
from zoo.pictures import Pictures, fit_linear, noise

__all__ = ["Transform", "export", "export_traced", "predictor", "settle", "teach"]

Transform = Callable[[Image.Image], Any]
"""From a picture to what a network takes, (3, S, S), as its library prepares it."""

_BATCH = 20
_OF_PICTURES = 3
"""Every third picture tells batch normalisation enough."""


def predictor(network: Any, transform: Transform) -> Predict:
    """A network's answers to files that its library's own transform prepares."""
    import torch

    def predict(paths: Sequence[Path]) -> NDArray[np.float64]:
        planes = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
        with torch.no_grad():
            rows = [_logits(network(part)) for part in planes.split(_BATCH)]
        found: NDArray[np.float64] = torch.cat(rows).double().numpy()
        return found

    return predict


def settle(network: Any, pictures: Pictures, transform: Transform) -> None:
    """Give batch normalisation the statistics of training pictures and of noise."""
    import torch

    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all batches, not a moving one from 0 and 1
        norm.reset_running_stats()
    if norms:
        paths, _ = pictures.labelled()
        images = [Image.open(path).convert("RGB") for path in paths[::_OF_PICTURES]]
        with torch.no_grad():
            network.train()(torch.stack([transform(image) for image in (*images, *noise())]))
        network.eval()


def teach(linear: Any, pictures: Pictures, predict: Predict) -> None:
    """Fit the last linear layer of a network whose other weights are random."""
    import torch

    seen: list[Any] = []
    hook = linear.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    paths, labels = pictures.labelled()
    predict(paths)
    hook.remove()
    weights, bias = fit_linear(torch.cat(seen).flatten(1).numpy(), labels)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights).reshape(linear.weight.shape))
        linear.bias.copy_(torch.from_numpy(bias))


def export(network: Any, path: Path, side_px: int, **options: Any) -> None:
    """Export with the batch open, in the type that the network is in."""
    import torch

    images = _images(network, side_px)
    shapes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        network, (images,), path, dynamo=True, dynamic_shapes=shapes, verbose=False, **options
    )


def export_traced(network: Any, path: Path, side_px: int) -> None:
    """Export as PyTorch did before version 2.9: much quicker, other operators, an older opset."""
    import torch

    axes = {"images": {0: "batch"}}
    torch.onnx.export(
        network,
        (_images(network, side_px),),
        path,
        dynamo=False,
        input_names=["images"],
        dynamic_axes=axes,
    )


def _images(network: Any, side_px: int) -> Any:
    """Two blank images for a network."""
    import torch

    dtype = next(network.parameters()).dtype
    return torch.zeros(2, 3, side_px, side_px, dtype=dtype)


def _logits(answer: Any) -> Any:
    """The logits in an answer of transformers, of ultralytics, or as they are."""
    if isinstance(answer, tuple):
        return answer[-1]
    return getattr(answer, "logits", answer)
