"""A last layer for somebody's own photographs, below which a trained network stays as it is."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="linear-probe",
    summary="a new last layer on a trained network, 20 epochs",
    source="Kumar et al. 2022, arXiv:2202.10054, section 4, linear probing",
    options={
        "objective": Cited("cross-entropy", "softmax cross-entropy on frozen features"),
        "freeze": Cited("all", "only the head's parameters are updated"),
        "augmentation": Cited(("crop", "flip"), "chosen here"),
        "epochs": Cited(20, "chosen here, 20: the paper solves it to the end"),
        "batch_size": Cited(64, "chosen here, 64"),
        "learning_rate": Cited(0.05, "chosen here, 0.05: the paper takes the best of a grid"),
        "momentum": Cited(0.9, "chosen here, 0.9"),
        "weight_decay": Cited(0.0, "chosen here, 0.0"),
    },
    needs_weights=True,
)
