"""Feature layers of a torch classifier: found by running it once, averaged over space."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.scores import Outputs

__all__ = ["AUTO", "WithLayers", "choose_layers"]

AUTO = "auto"
"""Every stage of the network: the last block before the spatial size changes."""


@dataclass(frozen=True)
class _Event:
    """One submodule's output during a forward pass.

    Attributes:
        layer: Its name.
        depth: Number of modules around it that are blocks: those that do more than run others in
            sequence, and sequences of single operations that change the size of the maps.
        space: Number of positions per axis of space.
        means: The output averaged over space, as it is and behind a ReLU.
    """

    layer: str
    depth: int
    space: tuple[int, ...]
    means: tuple[Tensor, ...]


class WithLayers(nn.Module):
    """A classifier that also gives spatially averaged outputs of some of its submodules.

    Args:
        classifier: Maps (N, 3, S, S) to `Outputs`.
        layers: Names of submodules, in the order of the features; the classifier's own follow.
    """

    def __init__(self, classifier: nn.Module, layers: Sequence[str]) -> None:
        super().__init__()
        self.classifier = classifier
        self.layers = tuple(layers)

    def forward(self, images: Tensor) -> Outputs:
        """Outputs with further features (N, D_l) under the layers' names."""
        found: dict[str, Tensor] = {}

        def remember(layer: str) -> Any:
            def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
                found[layer] = _averaged(output)

            return hook

        handles = [
            self.classifier.get_submodule(layer).register_forward_hook(remember(layer))
            for layer in self.layers
        ]
        try:
            outputs: Outputs = self.classifier(images)
        finally:
            for handle in handles:
                handle.remove()
        early = {layer: found[layer] for layer in self.layers}
        return replace(outputs, features={**early, **outputs.features})


def choose_layers(classifier: nn.Module, size_px: int, wanted: Sequence[str]) -> tuple[str, ...]:
    """Names of feature layers besides the classifier's own.

    Args:
        classifier: In evaluation mode; run once on noise.
        size_px: S.
        wanted: Submodule names, or `auto` alone for the network's stages; empty for none. Where a
            network was wrapped, its own names do: the outermost submodule of that name is meant.

    Returns:
        Names in the order in which the network computes them.

    Raises:
        UnknownNameError: If a name is no submodule that runs exactly once and gives a feature map.
    """
    if not wanted:
        return ()
    events, outputs = _run(classifier, size_px)
    if tuple(wanted) == (AUTO,):
        return _stages(events, outputs)
    known = [event.layer for event in events]
    chosen = [_outermost(layer, known) for layer in wanted]
    if len(set(chosen)) != len(chosen):
        raise InputError(f"layers {', '.join(wanted)} name one twice")
    return tuple(sorted(chosen, key=known.index))


def _outermost(layer: str, known: Sequence[str]) -> str:
    """The known name that is, or ends in, this one, with the fewest modules around it."""
    named = [name for name in known if f".{name}".endswith(f".{layer}")]
    fewest = min((name.count(".") for name in named), default=0)
    outermost = [name for name in named if name.count(".") == fewest]
    if len(outermost) != 1:
        raise UnknownNameError("feature layer", layer, known)
    return outermost[0]


def _stages(events: Sequence[_Event], outputs: Outputs) -> tuple[str, ...]:
    """The last outermost event of each spatial size, but for those that are features already.

    Outermost, because the first operations inside a block that shrinks the maps belong to the next
    stage, though they still have the size of this one: ConvNeXt normalises before it shrinks.
    """
    last: dict[tuple[int, ...], _Event] = {}
    for event in events:
        if event.space not in last or event.depth <= last[event.space].depth:
            last[event.space] = event
    own = list(outputs.features.values())
    return tuple(
        event.layer
        for event in events
        if event is last[event.space]
        and max(event.space) > 1
        and not any(_equal(mean, features) for mean in event.means for features in own)
    )


def _run(classifier: nn.Module, size_px: int) -> tuple[list[_Event], Outputs]:
    """Outputs of all submodules that run exactly once and give a map or a sequence of tokens."""
    found: dict[str, tuple[tuple[int, ...], tuple[Tensor, ...]]] = {}
    calls: Counter[str] = Counter()
    resizing: set[str] = set()
    modules = dict(classifier.named_modules())

    def remember(layer: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            calls[layer] += 1
            if _is_map(output):
                found[layer] = _space(output), (_averaged(output), _averaged(output.relu()))
                if not all(_is_map(i) and _space(i) == _space(output) for i in inputs):
                    resizing.add(layer)

        return hook

    handles = [
        module.register_forward_hook(remember(name)) for name, module in modules.items() if name
    ]
    parameter = next(classifier.parameters())
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, size_px, size_px, generator=generator).to(parameter)
    try:
        with torch.inference_mode():
            outputs: Outputs = classifier(noise)
    finally:
        for handle in handles:
            handle.remove()
    blocks = {
        name
        for name, module in modules.items()
        if not isinstance(module, nn.ModuleDict | nn.ModuleList | nn.Sequential)
        or (name in resizing and not any(list(part.children()) for part in module.children()))
    }
    events = [_Event(layer, _depth(layer, blocks), *found[layer]) for layer in found]
    return [event for event in events if calls[event.layer] == 1], outputs


def _depth(layer: str, blocks: Collection[str]) -> int:
    parts = layer.split(".")
    return sum(".".join(parts[:end]) in blocks for end in range(1, len(parts)))


def _is_map(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim in (3, 4) and len(output) == 1


def _averaged(features: Tensor) -> Tensor:
    """Features (N, D), averaged over space; the average is taken before anything changes them."""
    return features.mean(dim=_space_axes(tuple(features.shape)))


def _space(features: Tensor) -> tuple[int, ...]:
    shape = tuple(features.shape)
    return tuple(shape[axis] for axis in _space_axes(shape))


def _space_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Axes of space: of (N, T, D) tokens, of (N, H, W, C) maps, else of (N, C, H, W) maps.

    Images are square, so H = W tells the two apart; where all three sizes are equal, channels
    come first.
    """
    if len(shape) == 3:
        return (1,)
    channels_last = shape[1] == shape[2] != shape[3]
    return (1, 2) if channels_last else (2, 3)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6)
