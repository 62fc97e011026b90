"""A recipe of one's own: a smaller network for the first of them."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="a-newcomer",
    summary="WRN-16-4 with cross-entropy",
    source="Zagoruyko & Komodakis 2016, arXiv:1605.07146",
    options={
        "model": Cited("wrn-16-4", "WRN-16-4"),
        "objective": Cited("cross-entropy", "cross-entropy loss"),
        "batch_size": Cited(128, "minibatch size to 128"),
    },
    deviations=("everything else is a default of edge-ood",),
)
