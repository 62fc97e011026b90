"""Outlier Exposure to outliers that are made of the training images."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="ascood-cifar10",
    summary="Outlier Exposure to virtual outliers (ASCOOD) from scratch, without other images",
    source="Regmi 2024, arXiv:2411.10794; sudarshanregmi/ASCOOD"
    " configs/pipelines/train/train_ascood.yml, scripts/ood/ascood/cifar10_train_ascood.sh and"
    " openood/trainers/ascood_trainer.py",
    options={
        "objective": Cited("outlier-exposure:weight=1", "w: 1.0, of the KL divergence"),
        "outlier_source": Cited("self", "--trainer.trainer_args.ood_type shuffle"),
        "shuffled_share": Cited(0.15, "--trainer.trainer_args.p_inv 0.15"),
        "epochs": Cited(100, "num_epochs: 100"),
        "learning_rate": Cited(0.1, "lr: 0.1, fc_lr_factor: 1.0"),
        "final_learning_rate": Cited(1e-6, "cosine_annealing(step, ..., 1, 1e-6 / lr)"),
        "momentum": Cited(0.9, "momentum: 0.9, nesterov: True"),
        "weight_decay": Cited(5e-4, "weight_decay: 0.0005"),
    },
    deviations=(
        "the last layer reads features as they are: the original standardises each image's first",
        "the network is edge-ood's default, WRN-40-2: the original has a ResNet-18 for 32 px",
        "mean and std are measured on the training images",
    ),
)
