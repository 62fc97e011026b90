"""WRN-40-2 with cross-entropy: the network that every fine-tuning on CIFAR-10 starts from."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="baseline-cifar10",
    summary="WRN-40-2 with cross-entropy, the start of the fine-tuning recipes",
    source="Hendrycks et al. 2019, arXiv:1812.04606; hendrycks/outlier-exposure CIFAR/baseline.py",
    options={
        "model": Cited(
            "wrn-40-2:dropout=0.3", "--layers 40 --widen-factor 2 --droprate 0.3, the defaults"
        ),
        "objective": Cited("cross-entropy", "F.cross_entropy(x, target)"),
        "augmentation": Cited(("crop", "flip"), "RandomHorizontalFlip, RandomCrop with padding 4"),
        "epochs": Cited(100, "--epochs 100, the default"),
        "batch_size": Cited(128, "--batch_size 128, the default"),
        "learning_rate": Cited(0.1, "--learning_rate 0.1, the default"),
        "final_learning_rate": Cited(1e-6, "cosine_annealing per step down to 1e-6"),
        "momentum": Cited(0.9, "--momentum 0.9, the default, with nesterov=True"),
        "weight_decay": Cited(5e-4, "--decay 0.0005, the default"),
    },
    deviations=(
        "the first step has the full learning rate: the original's scheduler runs one step ahead",
        "mean and std are measured on the training images",
    ),
)
