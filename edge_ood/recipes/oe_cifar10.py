"""Outlier Exposure from the first step on."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="oe-cifar10",
    summary="WRN-40-2 with Outlier Exposure from scratch",
    source="Hendrycks et al. 2019, arXiv:1812.04606; hendrycks/outlier-exposure"
    " CIFAR/oe_scratch.py",
    options={
        "model": Cited(
            "wrn-40-2:dropout=0.3", "--layers 40 --widen-factor 2 --droprate 0.3, the defaults"
        ),
        "objective": Cited("outlier-exposure:weight=0.5", "loss += 0.5 * ..., each batch's mean"),
        "augmentation": Cited(
            ("crop", "flip"), "RandomHorizontalFlip, RandomCrop with padding 4, on outliers, too"
        ),
        "epochs": Cited(100, "--epochs 100, the default"),
        "batch_size": Cited(128, "--batch_size 128, the default"),
        "outlier_batch_size": Cited(256, "--oe_batch_size 256, the default"),
        "learning_rate": Cited(0.1, "--learning_rate 0.1, the default"),
        "final_learning_rate": Cited(1e-6, "cosine_annealing per step down to 1e-6"),
        "momentum": Cited(0.9, "--momentum 0.9, the default, with nesterov=True"),
        "weight_decay": Cited(5e-4, "--decay 0.0005, the default"),
    },
    needs_outliers=True,
    deviations=(
        "outliers are shuffled: the original reads 80 million in order from a random place",
        "the first step has the full learning rate: the original's scheduler runs one step ahead",
        "mean and std are measured on the training images",
    ),
)
