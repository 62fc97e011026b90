"""Feature normalisation from the first step on, as OpenOOD trains it."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="feature-norm-cifar10",
    summary="Feature normalisation (T2FNorm) from scratch, without outliers",
    source="Regmi et al. 2023, arXiv:2305.17797; Jingkang50/OpenOOD"
    " configs/pipelines/train/train_t2fnorm.yml, configs/datasets/cifar10/cifar10.yml and"
    " openood/trainers/base_trainer.py",
    options={
        "objective": Cited("feature-norm:tau=0.1", "tau: 0.1"),
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
        "the network is edge-ood's default, WRN-40-2: OpenOOD has a ResNet-18 for 32 px",
        "mean and std are measured on the training images",
    ),
)
