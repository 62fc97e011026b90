"""Energy-bounded fine-tuning of a finished network."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="energy-tuned-cifar10",
    summary="Energy-bounded learning as fine-tuning, 10 epochs",
    source="Liu et al. 2020, arXiv:2010.03759; wetliu/energy_ood CIFAR/train.py and run.sh",
    options={
        "objective": Cited(
            "energy-bounded:weight=0.1,m_in=-23,m_out=-5",
            "loss += 0.1*(...); run.sh: m_in=-23, m_out=-5 (the defaults of train.py differ)",
        ),
        "augmentation": Cited(
            ("crop", "flip"), "RandomHorizontalFlip, RandomCrop with padding 4, on outliers, too"
        ),
        "epochs": Cited(10, "--epochs 10, the default"),
        "batch_size": Cited(128, "--batch_size 128, the default"),
        "outlier_batch_size": Cited(256, "--oe_batch_size 256, the default"),
        "learning_rate": Cited(0.001, "--learning_rate 0.001, the default"),
        "final_learning_rate": Cited(1e-6, "cosine_annealing per step down to 1e-6"),
        "momentum": Cited(0.9, "--momentum 0.9, the default, with nesterov=True"),
        "weight_decay": Cited(5e-4, "--decay 0.0005, the default"),
    },
    needs_outliers=True,
    starts_from="baseline-cifar10",
    deviations=(
        "outliers are shuffled: the original reads 80 million in order from a random place",
        "the first step has the full learning rate: the original's scheduler runs one step ahead",
    ),
)
