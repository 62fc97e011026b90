"""DenseNet-BC-100-12 with cross-entropy: the network of ODIN and of the Mahalanobis detector."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="densenet-cifar10",
    summary="DenseNet-BC-100-12 with cross-entropy, the network of ODIN and Mahalanobis",
    source="Huang et al. 2017, arXiv:1608.06993; liuzhuang13/DenseNet README, opts.lua, train.lua",
    options={
        "model": Cited(
            "densenet-bc-100-12:dropout=0",
            "-depth 100 -growthRate 12 (README), -dropRate 0 (opts.lua)",
        ),
        "objective": Cited("cross-entropy", "nn.CrossEntropyCriterion of fb.resnet.torch"),
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
        "the learning rate falls along a cosine: the original divides it by 10 at 1/2 and 3/4",
        "ODIN publishes weights and no training; these are the numbers of the network's authors",
    ),
)
