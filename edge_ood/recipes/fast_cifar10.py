"""A good network for CIFAR-10 from scratch, in minutes on two cores."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="fast-cifar10",
    summary="airbench with cross-entropy from scratch, for processors",
    source="Jordan 2024, arXiv:2404.00498; KellerJordan/cifar10-airbench airbench94.py",
    options={
        "model": Cited("airbench", "the paper's network; widths are 64, 256 and 256"),
        "objective": Cited("cross-entropy", "F.cross_entropy, here without label_smoothing 0.2"),
        "augmentation": Cited(
            ("translate", "alternate-flip"), "aug flip with altflip, and translate 2"
        ),
        "epochs": Cited(24, "24 here: train_epochs 9.9 with 6 views of each test image"),
        "batch_size": Cited(512, "512, half of batch_size 1024: more steps cost nothing on a CPU"),
        "learning_rate": Cited(
            0.75, "lr 11.5 / 7850 for a sum over 1024 images is 1.5 for their mean; 0.75 for 512"
        ),
        "final_learning_rate": Cited(0.0, "the rate falls to 0.07 of its peak; here to 0.0"),
        "warmup": Cited(5.0, "5.0 epochs here: it rises over 0.23 of the steps"),
        "momentum": Cited(0.85, "momentum 0.85, nesterov=True"),
        "weight_decay": Cited(
            0.0013, "0.0153 * 1024 / 7850, over the rate 1.5 of a mean, is 0.0013 at any batch size"
        ),
        "precision": Cited("auto", "half precision there; bf16 where the processor has it"),
    },
    deviations=(
        "no label smoothing, which makes logits tell OOD images less well",
        "no lookahead",
        "the rate falls along a cosine, theirs along a line",
        "nothing is averaged over views of an image, so it takes more epochs",
    ),
)
