"""A trunk and the linear heads on it, in training and in the form that is exported."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from edge_ood.scores import PENULTIMATE, Outputs

__all__ = [
    "Classifier",
    "IndependentHeads",
    "MergedHeads",
    "Trunk",
    "merge_heads",
    "scale_heads",
]


class Trunk(nn.Module):
    """Everything before the linear heads.

    Its `forward(images)` maps normalised images (N, 3, S, S) to spatially averaged features
    (N, D_l) by layer name, `penultimate` last.

    Attributes:
        num_features: D of the penultimate layer.
        known_within: What goes before the names that its weights have outside edge-ood.
        end: The name that the linear layer behind it has there; empty where it has none.
    """

    num_features: int
    known_within: str = ""
    end: str = ""

    def see_first(self, images: Tensor) -> None:
        """Set what is not learnt but read off training images (N, 3, S, S), before the first step.

        Most networks have nothing of the kind.
        """


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

    def forward(
        self,
        images: Tensor,
        *,
        detached_heads: Sequence[int] = (),
        head_inputs: Callable[[Tensor], Tensor] | None = None,
    ) -> Outputs:
        """Logits and features of a batch.

        Args:
            images: float32 (N, 3, S, S), normalised.
            detached_heads: Positions of the heads from which no gradient reaches the trunk.
            head_inputs: What the heads read, of the penultimate features (N, D); None for these
                themselves.

        Returns:
            `logits` (N, K), the mean over the heads; `logits_pair` (N, 2, K) of two heads, else
            None; `features` (N, D_l) by layer name, penultimate last.
        """
        features: dict[str, Tensor] = self.trunk(images)
        seen = features[PENULTIMATE]
        seen = seen if head_inputs is None else head_inputs(seen)
        logits, logits_pair = self.heads(seen, *detached_heads)
        return Outputs(logits, logits_pair, features)


def merge_heads(trained: Classifier) -> Classifier:
    """The same classifier in evaluation mode, its heads in the form that is exported."""
    assert isinstance(trained.heads, IndependentHeads)  # merged once
    return Classifier(trained.trunk, MergedHeads(trained.heads)).eval()


def scale_heads(classifier: Classifier, factor: float) -> Classifier:
    """The same trunk, not a copy, below heads whose weights, not biases, are multiplied."""
    heads = copy.deepcopy(classifier.heads)
    assert isinstance(heads, IndependentHeads)  # not merged before training has ended
    with torch.no_grad():
        for head in (head for head in heads.linear if isinstance(head, nn.Linear)):
            head.weight *= factor
    return Classifier(classifier.trunk, heads)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear
