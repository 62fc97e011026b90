"""Cross-entropy of images and of their mixtures, as the authors of RegMixup train."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="regmixup-cifar10",
    summary="Cross-entropy with RegMixup from scratch, without outliers",
    source="Pinto et al. 2022, arXiv:2206.14502; FrancescoPinto/RegMixup commands.sh, and"
    " Jingkang50/OpenOOD configs/pipelines/train/train_regmixup.yml and"
    " openood/trainers/regmixup_trainer.py",
    options={
        "objective": Cited("cross-entropy:regmixup=20", "--mixup_alpha 20 --mixup_beta 20"),
        "augmentation": Cited(
            ("crop", "flip"), "RandomHorizontalFlip, RandomCrop(image_size, padding=4) of OpenOOD"
        ),
        "epochs": Cited(100, "num_epochs: 100 of OpenOOD; --max_epochs 350 of the authors"),
        "batch_size": Cited(128, "-b 128"),
        "learning_rate": Cited(0.1, "--lr 0.1"),
        "final_learning_rate": Cited(1e-6, "cosine_annealing(step, ..., 1, 1e-6 / lr) of OpenOOD"),
        "momentum": Cited(0.9, "momentum: 0.9, nesterov=True of OpenOOD"),
        "weight_decay": Cited(5e-4, "weight_decay: 0.0005 of OpenOOD"),
    },
    deviations=(
        "the network is edge-ood's default: theirs are a wide ResNet and a ResNet-50",
        "an image is mixed with the one before it in the shuffled batch, the original's with any",
        "mean and std are measured on the training images",
    ),
)
