"""A trained network on somebody's own photographs, exposed to others."""

from edge_ood.recipes import Cited, Recipe
from edge_ood.recipes.fine_tune import RECIPE as FINE_TUNE

RECIPE = Recipe(
    name="fine-tune-with-outliers",
    summary="a trained network on photographs of one's own, with Outlier Exposure, 10 epochs",
    source="Hendrycks et al. 2019, arXiv:1812.04606, on top of the recipe fine-tune",
    options={
        **FINE_TUNE.options,
        "objective": Cited("outlier-exposure:weight=0.5", "loss += 0.5 * ..., section 4.1"),
        "epochs": Cited(10, "chosen here, 10: a step takes twice as long"),
        "outlier_batch_size": Cited(32, "chosen here, 32: as many as ID images in a step"),
    },
    needs_outliers=True,
    needs_weights=True,
)
