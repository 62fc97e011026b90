"""A network of one's own: two convolutions."""

from torch import Tensor, nn

from edge_ood.models import PENULTIMATE, ModelFamily, Trunk


class TwoConvolutions(Trunk):
    """Two convolutions with batch normalisation, without a linear head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.num_features = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, width) of normalised images (N, 3, S, S), any S."""
        return {PENULTIMATE: self.layers(images).mean((2, 3))}


def a_newcomer(name: str, *, width: int = 8) -> TwoConvolutions:
    """Untrained trunk of `a-newcomer`.

    Args:
        name: `a-newcomer`.
        width: Channels of both convolutions.

    Source: this project, to see that a file is enough.
    """
    return TwoConvolutions(width)


FAMILY = ModelFamily(
    pattern="a-newcomer",
    examples=("a-newcomer",),
    answers=lambda name: name == "a-newcomer",
    trunk=a_newcomer,
    smallest_px=2,
    source="this project",
)
