"""A network with two heads, trained alike: what maximum classifier discrepancy starts from."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="mcd-pretraining-cifar10",
    summary="DenseNet-BC-100-12 with cross-entropy on two heads, the start of mcd-cifar10",
    source="Yu & Aizawa 2019, arXiv:1908.04951; numbers from liuzhuang13/DenseNet README, opts.lua,"
    " train.lua",
    options={
        "model": Cited(
            "densenet-bc-100-12:dropout=0",
            "the paper's network; -depth 100 -growthRate 12 (README), -dropRate 0 (opts.lua)",
        ),
        "heads": Cited(2, "the paper: 2 classifiers c1 and c2 on one extractor"),
        "objective": Cited("cross-entropy", "the paper: of both classifiers, until convergence"),
        "augmentation": Cited(
            ("crop", "flip"), "random crop after zero-padding, and flip (README)"
        ),
        "epochs": Cited(300, "-nEpochs 300 (README)"),
        "batch_size": Cited(64, "-batchSize 64 (README)"),
        "learning_rate": Cited(0.1, "-LR 0.1 (opts.lua)"),
        "momentum": Cited(0.9, "-momentum 0.9 (opts.lua), nesterov = true (train.lua)"),
        "weight_decay": Cited(1e-4, "-weightDecay 1e-4 (opts.lua)"),
    },
    deviations=(
        "the paper publishes weights and no schedule; the numbers are those of the network's"
        " authors",
        "the learning rate falls along a cosine: theirs is divided by 10 at 1/2 and 3/4",
        "the loss is the mean over the two heads, not their sum",
    ),
)
