"""Settings check themselves."""

from typing import Any

import pytest

from edge_ood.errors import InputError
from edge_ood.registry import Spec
from edge_ood.training.settings import Settings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("outlier_batch_size", -1),
        ("heads", 0),
        ("heads", 3),
        ("learning_rate", -0.1),
        ("learning_rate", float("nan")),
        ("final_learning_rate", float("inf")),
        ("momentum", 1.0),
        ("weight_decay", -1.0),
        ("seed", -1),
        ("seed", 2**32),
        ("precision", "fp8"),
        ("augmentation", ("crop", "spin")),
        ("augmentation", ("crop", "translate")),
        ("optimizer", "adam"),
        ("schedule", "linear"),
        ("warmup", -0.1),
        ("warmup", 100.0),
        ("warmup", float("nan")),
        ("average", "swa"),
        ("clip_norm", -1.0),
        ("clip_norm", float("inf")),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("mixup", -0.2),
        ("mixup", float("inf")),
        ("balance", "all"),
        ("keep", "first"),
        ("patience", -1),
    ],
)
def test_a_value_out_of_range_is_refused(field: str, value: Any) -> None:
    """The error shows the value that arrived and what was expected."""
    with pytest.raises(InputError, match="expected"):
        Settings(Spec("wrn-10-1"), Spec("cross-entropy"), **{field: value})
