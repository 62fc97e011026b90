"""Outlier Exposure with diverse outliers from the first step on."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="dos-cifar10",
    summary="Outlier Exposure with diverse outlier sampling (DOS) from scratch",
    source="Jiang et al. 2024, arXiv:2306.02031; lygjwy/DOS train_diverse.py",
    options={
        "objective": Cited("outlier-exposure:weight=1", "--beta 1.0, the default"),
        "outlier_sampling": Cited(
            "diverse", "KMeans of F.normalize(feats), the least weight of each cluster"
        ),
        "epochs": Cited(100, "--epochs 100, the default"),
        "batch_size": Cited(64, "--batch_size 2 ** 6 # 64, the default"),
        "outlier_batch_size": Cited(64, "size_factor_sampled_ood * batch_size, with 64"),
        "learning_rate": Cited(0.1, "--lr 0.1, the default"),
        "momentum": Cited(0.9, "--momentum 0.9, the default, with nesterov=True"),
        "weight_decay": Cited(1e-4, "--weight_decay 0.0001, the default"),
    },
    needs_outliers=True,
    deviations=(
        "outliers are pushed to the uniform prediction, and known by their energy: the original has"
        " a class of their own, and knows them by its probability",
        "k-means is ten iterations from the first candidates: the original's is scikit-learn's, the"
        " best of three",
        "the learning rate falls along a cosine: theirs is divided by 10 at 1/2, 3/4 and 9/10",
        "the network is edge-ood's default: the original has a DenseNet",
    ),
)
