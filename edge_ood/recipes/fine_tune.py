"""A trained network on somebody's own photographs."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="fine-tune",
    summary="a trained network on photographs of one's own, 10 epochs",
    source="Kornblith et al. 2019, arXiv:1805.08974, section 3 and appendix A.3, fine-tuning",
    options={
        "objective": Cited("cross-entropy", "softmax cross-entropy"),
        "epochs": Cited(10, "chosen here, 10: the paper has 20,000 steps, on far more images"),
        "batch_size": Cited(64, "chosen here, 64: the paper has 256, on far more images"),
        "learning_rate": Cited(0.01, "the best of a grid in the paper, which has 0.01 in it"),
        "momentum": Cited(0.9, "momentum 0.9 with Nesterov"),
    },
    needs_weights=True,
)
