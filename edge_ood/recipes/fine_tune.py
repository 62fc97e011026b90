"""A trained network on somebody's own photographs."""

from edge_ood.recipes import Cited, Recipe

RECIPE = Recipe(
    name="fine-tune",
    summary="a trained network on photographs of one's own, 12 epochs",
    source=(
        "Kumar et al. 2022, arXiv:2202.10054, for a last layer that learns first; "
        "torch.optim.AdamW; Müller and Hutter 2021, arXiv:2103.10158, for TrivialAugment; "
        "benchmarks/photographs.py for what was chosen here"
    ),
    options={
        "objective": Cited("cross-entropy", "softmax cross-entropy"),
        "freeze": Cited("1", "linear probing, then fine-tuning; chosen here, 1 epoch of it"),
        "augmentation": Cited(
            ("crop", "flip", "trivial"), "chosen here: parts that are enlarged would be blurred"
        ),
        "epochs": Cited(12, "chosen here, 12"),
        "average": Cited("ema", "chosen here: it ranks OOD images better"),
        "batch_size": Cited(32, "chosen here, 32"),
        "optimizer": Cited("adamw", "decoupled weight decay"),
        "learning_rate": Cited(0.001, "lr=0.001, the default"),
        "weight_decay": Cited(0.01, "weight_decay=0.01, the default"),
        "head_rate": Cited(2.0, "chosen here, 2.0"),
    },
    needs_weights=True,
)
