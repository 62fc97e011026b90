"""What the present weights of a session give: accuracies, means and energies, without training."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from edge_ood.metrics.classification import check_better_than_chance
from edge_ood.objectives import logits_by_head
from edge_ood.scores import Outputs
from edge_ood.training.batches import normalised
from edge_ood.training.energies import EnergySample
from edge_ood.training.outlier_stream import OutlierStream
from edge_ood.training.rows import Images
from edge_ood.training.session import Session

__all__ = ["check_kept_head", "evaluate", "mean_output", "measure_energies"]

_EVALUATION_BATCH = 256
_TRIED_IMAGES = 128
_MOST_MEASURED = 10_000  # images: the mean of an energy is then known to about 0.03


def evaluate(session: Session) -> tuple[float, float, float]:
    """Accuracies on the validation images, in [0, 1], shared among the processes.

    Returns:
        Of the heads' mean logits, of the first and of the second head; NaN where there are no
        validation images or no second head. The classifier is left in training mode.
    """
    images, labels = session.validation

    def correct(rows: slice, outputs: Outputs) -> Tensor:
        logits = torch.cat([outputs.logits.unsqueeze(1), logits_by_head(outputs)], dim=1)
        return logits.argmax(-1) == labels[rows, None].to(logits.device)

    heads = session.batches.settings.heads
    mean, first, *second = _means(session, images, correct, columns=1 + heads)
    return mean, first, second[0] if second else math.nan


def check_kept_head(session: Session) -> None:
    """Refuse a last layer of other origin that knows nothing of the classes.

    Raises:
        DataError: If of at most 128 training images no more are classified correctly than by
            always naming the commonest class.
    """
    images, labels = session.batches.images, session.batches.labels
    chosen = slice(None, None, -(-len(images) // _TRIED_IMAGES))
    wanted = labels[chosen]
    (accuracy,) = _means(
        session,
        images[chosen],
        lambda rows, outputs: (
            outputs.logits.argmax(1) == wanted[rows].to(outputs.logits.device)
        ).unsqueeze(1),
        columns=1,
    )
    check_better_than_chance(
        accuracy,
        wanted.cpu().numpy(),
        "training images, by the last layer of these weights,",
        "--new-head starts it afresh; to keep it, the class folders, sorted, must be in the order "
        "of its outputs, and --mean and --std as in its training",
    )


def mean_output(session: Session, split: str, function: Callable[[Outputs], Tensor]) -> float:
    """Mean of `function(outputs) -> (N,)` over at most 10,000 images, spread evenly over a split.

    Args:
        session: Its present weights count, in evaluation mode and without augmentation.
        split: `training` or `outliers`; of a stream the images that are observed.
        function: What to average.
    """
    images = session.batches.images if split == "training" else session.batches.outliers
    if isinstance(images, OutlierStream):
        images = session.observed[split]
    chosen = images[:: -(-len(images) // _MOST_MEASURED)]
    (mean,) = _means(
        session, chosen, lambda rows, outputs: function(outputs).unsqueeze(1), columns=1
    )
    return mean


def measure_energies(session: Session) -> dict[str, EnergySample]:
    """Energies of the observed images, shared among the processes; no random number is drawn.

    They are those of the classifier's logits at temperature 1, the mean of the heads' logits where
    there are two, as the exported score `energy` has them. A split of which one is not finite is
    left out. The classifier is left in training mode.
    """
    found = {}
    for split, images in session.observed.items():
        energies = torch.zeros(len(images), dtype=torch.float64, device=session.fabric.device)
        for rows, outputs in _outputs(session, images):
            energies[rows] = -outputs.logits.double().logsumexp(1)
        joined = session.fabric.all_reduce(
            energies, reduce_op="sum"
        )  # zero for images of other processes
        assert isinstance(joined, Tensor)
        if joined.isfinite().all():
            found[split] = EnergySample.of(joined.cpu().numpy())
    return found


def _means(
    session: Session,
    images: Images,
    function: Callable[[slice, Outputs], Tensor],
    *,
    columns: int,
) -> list[float]:
    """Column means of `function(rows, outputs) -> (rows, columns)`, shared among the processes."""
    total = torch.zeros(columns, dtype=torch.float64, device=session.fabric.device)
    for rows, outputs in _outputs(session, images):
        total += function(rows, outputs).double().sum(0)
    joined = session.fabric.all_reduce(total, reduce_op="sum")
    assert isinstance(joined, Tensor)
    means: list[float] = (joined / len(images)).tolist()
    return means


@torch.inference_mode()
def _outputs(session: Session, images: Images) -> Iterator[tuple[slice, Outputs]]:
    """This process' share of images uint8 (N, R, R, 3), in batches: which rows, and outputs."""
    share = session.batches.share
    with session.evaluating() as classifier:
        for start in range(
            share.rank * _EVALUATION_BATCH, len(images), share.processes * _EVALUATION_BATCH
        ):
            rows = slice(start, start + _EVALUATION_BATCH)
            batch = normalised(images[rows].to(session.fabric.device), session.batches.preprocess)
            with session.fabric.autocast():
                outputs = classifier(batch)
            yield rows, outputs
