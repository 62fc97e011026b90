"""Maximum classifier discrepancy: steps A and B of its authors, on auxiliary outliers."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="mcd-cifar10",
    summary="Maximum classifier discrepancy as fine-tuning, 10 epochs of steps A and B",
    source="Yu & Aizawa 2019, arXiv:1908.04951; YU1ut/UOOD-MCD train.py and solver.py",
    options={
        "heads": Cited(2, "2 classifiers c1 and c2 (solver.py)"),
        "objective": Cited("classifier-discrepancy:margin=1.2", "--th 1.2, the default"),
        "augmentation": Cited((), "ToTensor and Normalize alone"),
        "epochs": Cited(10, "--epochs 10, the default"),
        "batch_size": Cited(128, "--batch-size 128, the default"),
        "outlier_batch_size": Cited(128, "--batch-size 128, the default, unlabelled images, too"),
        "learning_rate": Cited(0.01, "--lr 0.01, the default"),
        "final_learning_rate": Cited(0.01, "adjust_learning_rate keeps --lr 0.01"),
        "momentum": Cited(0.9, "--momentum 0.9, the default"),
        "weight_decay": Cited(1e-4, "--weight-decay 1e-4, the default"),
    },
    needs_outliers=True,
    starts_from="mcd-pretraining-cifar10",
    deviations=(
        "unlabelled images are training images and auxiliary outliers, half and half: the paper's"
        " are the test images",
        "the last epoch counts: the original keeps the best of all epochs by labelled images",
        "momentum is Nesterov's and starts at zero: theirs is plain and goes on from pretraining",
    ),
)
