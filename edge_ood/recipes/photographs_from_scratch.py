"""Photographs without a trained network to start from."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="photographs-from-scratch",
    summary="a small network on photographs of one's own, from random weights, 100 epochs",
    source=(
        "pytorch/vision references/classification, the newer recipe of its ResNet-50; "
        "Müller and Hutter 2021, arXiv:2103.10158, for TrivialAugment"
    ),
    options={
        "model": Cited("mobilenet_v3_small", "chosen here, mobilenet_v3_small"),
        "objective": Cited("cross-entropy", "softmax cross-entropy"),
        "augmentation": Cited(
            ("flip", "resized-crop", "trivial"),
            "RandomResizedCrop, RandomHorizontalFlip, --auto-augment ta_wide",
        ),
        "epochs": Cited(100, "chosen here, 100: --epochs 600 there, on a million images"),
        "batch_size": Cited(64, "chosen here, 64"),
        "learning_rate": Cited(0.05, "chosen here, 0.05: --lr 0.5 for 1,024 images there"),
        "warmup": Cited(5.0, "--lr-warmup-epochs 5.0"),
        "momentum": Cited(0.9, "--momentum 0.9, the default"),
        "weight_decay": Cited(2e-5, "--weight-decay 2e-05"),
        "average": Cited("ema", "--model-ema"),
    },
    deviations=(
        "neither label smoothing nor mixtures of images: both blur the logits that scores read",
        "128 or 224 px have to be asked for, --image-size: the default suits thumbnails",
    ),
)
