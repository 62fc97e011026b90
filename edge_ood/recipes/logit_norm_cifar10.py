"""Logit normalisation from the first step on, as OpenOOD trains it."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="logit-norm-cifar10",
    summary="Logit normalisation (LogitNorm) from scratch, without outliers",
    source="Wei et al. 2022, arXiv:2205.09310; Jingkang50/OpenOOD"
    " configs/pipelines/train/train_logitnorm.yml, configs/datasets/cifar10/cifar10.yml and"
    " openood/trainers/logitnorm_trainer.py",
    options={
        "objective": Cited("logit-norm:tau=0.04", "tau: 0.04"),
        "augmentation": Cited(
            ("crop", "flip"), "RandomHorizontalFlip, RandomCrop(image_size, padding=4)"
        ),
        "epochs": Cited(100, "num_epochs: 100"),
        "batch_size": Cited(128, "batch_size: 128"),
        "learning_rate": Cited(0.1, "lr: 0.1"),
        "final_learning_rate": Cited(1e-6, "cosine_annealing(step, ..., 1, 1e-6 / lr)"),
        "momentum": Cited(0.9, "momentum: 0.9, nesterov=True"),
        "weight_decay": Cited(5e-4, "weight_decay: 0.0005"),
    },
    deviations=(
        "the network is edge-ood's default, WRN-40-2, as the authors': OpenOOD has a ResNet-18",
        "the authors train 200 epochs at a rate that falls in steps, and give tau as 0.01 in their"
        " README",
        "mean and std are measured on the training images",
    ),
)
