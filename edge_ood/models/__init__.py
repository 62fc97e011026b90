"""Image classifiers, one family per file.

A classifier is a trunk, which turns normalised images into spatially averaged features, and one or
two linear heads on the last of them. A family file writes a trunk and ends with
`FAMILY = ModelFamily(...)`, which says what names it answers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Registry, Spec, bind_parameters, parse_spec
from edge_ood.scores import PENULTIMATE, Outputs

__all__ = [
    "FAMILIES",
    "PENULTIMATE",
    "Classifier",
    "IndependentHeads",
    "ModelFamily",
    "Trunk",
    "WholeNetworks",
    "bind_model",
    "build_classifier",
    "check_input",
    "family_of",
    "merge_heads",
    "model_families",
]

_IMAGENET_PX = 224
_LARGEST_TRIED_PX = 512

FAMILIES = Registry("edge_ood.models", kind="model family", attribute="FAMILY")


class Trunk(nn.Module):
    """Everything before the linear heads.

    Its `forward(images)` maps normalised images (N, 3, S, S) to spatially averaged features
    (N, D_l) by layer name, `penultimate` last.

    Attributes:
        num_features: D of the penultimate layer.
    """

    num_features: int


@dataclass(frozen=True)
class ModelFamily:
    """Networks that one file can build.

    Attributes:
        pattern: What its names look like, for people.
        examples: Names that exist, for listings and for the closest match to a misspelt one.
        answers: `answers(name)` says whether the name belongs to this family.
        trunk: `trunk(name, **parameters)` builds an untrained network without its linear head.
        source: Paper and table.
        smallest_px: Least image side that makes sense: one pixel of the last feature map. What the
            layers themselves refuse is found out by trying.
        bind: `bind(name, parameters)` completes and converts parameters; by the signature of
            `trunk` if None.
        check: `check(name, trunk, size_px, rows)` refuses images that the trunk cannot be trained
            on; shapes alone are tried if None.
        whole: How networks of this family are built with a head of their own, for weights that
            were trained elsewhere; None where there are none.
    """

    pattern: str
    examples: tuple[str, ...]
    answers: Callable[[str], bool]
    trunk: Callable[..., Trunk]
    source: str
    smallest_px: int = 1
    bind: Callable[[str, Mapping[str, Any]], dict[str, Any]] | None = None
    check: Callable[[str, Trunk, int, int], None] | None = None
    whole: "WholeNetworks | None" = None


@dataclass(frozen=True)
class WholeNetworks:
    """Networks as they are known outside edge-ood, under their own names and with their own head.

    Attributes:
        build: `build(name, num_classes, **parameters)` gives an untrained network that maps
            normalised images (N, 3, S, S) to logits (N, K).
        preprocess: `preprocess(name, **parameters)` is what published weights were trained with;
            None where nobody knows.
        renamed: Published weights under the names that the network gives them, without those
            that only training needs.
    """

    build: Callable[..., nn.Module]
    preprocess: Callable[..., Preprocess] | None = None
    renamed: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict


class IndependentHeads(nn.Module):
    """One or two linear heads, each with its own random weights."""

    def __init__(self, num_features: int, num_classes: int, heads: int) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(num_features, num_classes) for _ in range(heads))
        for head in self.linear:
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]  # a Linear's bias is a tensor

    def forward(self, features: Tensor, *detached_heads: int) -> tuple[Tensor, Tensor | None]:
        """Mean logits (N, K), and the logits of each head (N, 2, K) when there are two.

        No gradient reaches the features from the heads with the positions `detached_heads`.
        """
        seen = [
            features.detach() if position in detached_heads else features
            for position in range(len(self.linear))
        ]
        if len(self.linear) == 1:
            return self.linear[0](seen[0]), None
        pair = torch.stack([head(s) for head, s in zip(self.linear, seen, strict=True)], dim=1)
        return pair.mean(1), pair


class MergedHeads(nn.Module):
    """Trained heads in the form that is exported: one matrix for the mean, one for the pair."""

    def __init__(self, trained: IndependentHeads) -> None:
        super().__init__()
        linear = [head for head in trained.linear if isinstance(head, nn.Linear)]
        weights = torch.stack([head.weight.detach() for head in linear])
        biases = torch.stack([head.bias.detach() for head in linear])
        self.heads, self.num_classes, _ = weights.shape
        self.mean = _linear(weights.mean(0), biases.mean(0))
        self.pair = None
        if self.heads > 1:
            self.pair = _linear(weights.flatten(0, 1), biases.flatten())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean logits (N, K), and the logits of each head (N, 2, K) when there are two."""
        if self.pair is None:
            return self.mean(features), None
        return self.mean(features), self.pair(features).reshape(-1, self.heads, self.num_classes)


class Classifier(nn.Module):
    """A trunk with linear heads on its penultimate features.

    Args:
        trunk: Gives features by layer name, the penultimate last.
        heads: Gives mean logits and the logits of each head.
    """

    def __init__(self, trunk: Trunk, heads: IndependentHeads | MergedHeads) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = heads

    def forward(self, images: Tensor, *, detached_heads: Sequence[int] = ()) -> Outputs:
        """Logits and features of a batch.

        Args:
            images: float32 (N, 3, S, S), normalised.
            detached_heads: Positions of the heads from which no gradient reaches the trunk.

        Returns:
            `logits` (N, K), the mean over the heads; `logits_pair` (N, 2, K) of two heads, else
            None; `features` (N, D_l) by layer name, penultimate last.
        """
        features: dict[str, Tensor] = self.trunk(images)
        logits, logits_pair = self.heads(features[PENULTIMATE], *detached_heads)
        return Outputs(logits, logits_pair, features)


def model_families() -> list[ModelFamily]:
    """Every family, in the order of its file name."""
    return [FAMILIES.get(name) for name in FAMILIES.names()]


def family_of(name: str) -> ModelFamily:
    """The family that answers to a name.

    Raises:
        UnknownNameError: If none does; the hint has the closest name.
    """
    families = model_families()
    for family in families:
        if family.answers(name):
            return family
    known = [example for family in families for example in family.examples]
    error = UnknownNameError("model", name, known)
    if error.closest is None:  # some hundred names are no hint
        error = UnknownNameError("model", name, [family.examples[0] for family in families])
    raise error


def bind_model(model: str | Spec) -> Spec:
    """The model's name with all its parameters, given or default, converted to their types.

    Args:
        model: For example `wrn-40-2:dropout=0.2`, or the same already parsed.

    Raises:
        UnknownNameError: If no family answers to the name, or a parameter does not exist.
        InputError: If a parameter has the wrong type.
    """
    spec = parse_spec(model) if isinstance(model, str) else model
    family = family_of(spec.name)
    if family.bind is not None:
        return Spec(spec.name, family.bind(spec.name, spec.parameters))
    return Spec(spec.name, bind_parameters(family.trunk, spec.parameters, owner=spec.name))


def build_classifier(model: str | Spec, num_classes: int, *, heads: int = 1) -> Classifier:
    """An untrained classifier; its weights are drawn from torch's global generator.

    Args:
        model: A name with parameters, such as `wrn-40-2:dropout=0.2`.
        num_classes: K >= 2.
        heads: 1 or 2 independent linear heads.

    Raises:
        UnknownNameError: If the model or a parameter does not exist; the hint has the closest.
        InputError: If the heads, a parameter or a number inside the name is out of range.
    """
    if heads not in (1, 2) or num_classes < 2:
        raise InputError(
            f"{heads} heads over {num_classes} classes, expected 1 or 2 heads over 2 or more"
        )
    trunk = _trunk(model)
    return Classifier(trunk, IndependentHeads(trunk.num_features, num_classes, heads))


def check_input(model: Spec, size_px: int, rows: int) -> None:
    """Refuse images that the model cannot be trained on.

    Args:
        model: A known model.
        size_px: Side S of the square images.
        rows: Images in the smallest training batch of one process.

    Raises:
        InputError: If the layers cannot take images of that size, or if batch normalisation would
            see a single value per channel.
    """
    family = family_of(model.name)
    if family.check is not None:
        with torch.random.fork_rng(devices=[]):
            family.check(model.name, _trunk(model).train(), size_px, rows)
        return
    smallest = family.smallest_px
    trunk = _without_weights(model).train()
    if size_px >= smallest and _takes(trunk, size_px, rows):
        return
    if size_px >= smallest and _takes(trunk, size_px, rows + 1):
        raise InputError(
            f"batch normalisation of {model.name!r} needs more than {rows} image of {size_px} px",
            hint=f"--batch-size {rows + 1}, or a larger --image-size",
        )
    needed = _smallest_side(trunk, max(size_px + 1, smallest))
    raise InputError(
        f"model {model.name!r} cannot take images of {size_px} px, expected {needed} or more",
        hint=f"--image-size {needed}",
    )


def merge_heads(trained: Classifier) -> Classifier:
    """The same classifier in evaluation mode, its heads in the form that is exported."""
    assert isinstance(trained.heads, IndependentHeads)  # merged once
    return Classifier(trained.trunk, MergedHeads(trained.heads)).eval()


def _trunk(model: str | Spec) -> Trunk:
    spec = bind_model(model)
    return family_of(spec.name).trunk(spec.name, **spec.parameters)


def _without_weights(model: Spec) -> Trunk:
    """The trunk on torch's device for shapes alone; random draws elsewhere stay as they were."""
    try:
        with torch.device("meta"):
            return _trunk(model)
    except NotImplementedError:  # RegNet computes its widths with tensors
        with torch.random.fork_rng(devices=[]):
            return _trunk(model).to("meta")


def _takes(trunk: Trunk, size_px: int, rows: int) -> bool:
    """Whether a training step's forward pass has a defined shape; nothing is computed."""
    try:
        trunk(torch.zeros(rows, 3, size_px, size_px, device="meta"))
    except (RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        return False
    return True


def _smallest_side(trunk: Trunk, at_least: int) -> int:
    """Least image side from `at_least` on that the trunk takes, if larger ones are fine, too.

    A network that takes only multiples of one size has nearly always been made for 224 px.
    """
    low, high = at_least - 1, at_least
    while high <= _LARGEST_TRIED_PX and not _takes(trunk, high, 2):
        low, high = high, 2 * high
    if high > _LARGEST_TRIED_PX:
        return _IMAGENET_PX
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _takes(trunk, middle, 2) else (middle, high)
    return high


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear
