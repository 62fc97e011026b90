"""What the training loop works with: device, network, optimiser, batches and checkpoints."""

import io
import math
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from edge_ood.errors import ArtifactError, InputError
from edge_ood.files.output import atomic_output
from edge_ood.files.regular import read_regular
from edge_ood.models import Classifier, IndependentHeads, build_classifier
from edge_ood.objectives import Model, logits_by_head, needs_of
from edge_ood.scores import Outputs
from edge_ood.training.batches import Batches, Share, normalised
from edge_ood.training.compilation import compiled
from edge_ood.training.energies import EnergySample
from edge_ood.training.run_directory import EpochReport, Run, RunConfig
from edge_ood.training.run_weights import load_weights
from edge_ood.training.settings import Settings
from edge_ood.training.training_set import DECODED_SPLITS, TrainingSet

__all__ = [
    "DEVICES",
    "Session",
    "State",
    "end_processes",
    "evaluate",
    "load_checkpoint",
    "mean_output",
    "measure_energies",
    "new_state",
    "save_checkpoint",
    "start_fabric",
    "start_session",
]

DEVICES = ("auto", "cpu", "cuda")

_CHECKPOINT_FORMAT = 1
_EVALUATION_BATCH = 256
_MOST_MEASURED = 10_000  # images: the mean of an energy is then known to about 0.03
_MOST_OBSERVED = 1_000  # images of a split: enough for a picture
_FABRIC_PRECISION: dict[str, Literal["32-true", "bf16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
}


@dataclass
class State:
    """What changes during training, apart from weights and momentum.

    Attributes:
        step: Batches done since the start of the run.
        loss_sum: Over the optimiser steps of this epoch so far, float64 scalar on the device.
        losses: How many optimiser steps that is.
        seconds: Wall time of this epoch so far.
        epochs: Reports of the finished epochs.
        energies: By split, with the weights before the first step.
    """

    loss_sum: Tensor
    step: int = 0
    losses: int = 0
    seconds: float = 0.0
    epochs: list[EpochReport] = field(default_factory=list)
    energies: dict[str, EnergySample] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """What stays the same during training.

    Attributes:
        fabric: Device, precision and processes.
        classifier: The network, whose weights are trained in place.
        model: The network as an objective calls it, in the wanted precision.
        optimizer: Over all its weights.
        batches: Training batches by step.
        validation: uint8 images (N, S, S, 3) and int64 labels (N,).
        parameters: Of the objective.
        observed: uint8 images (at most 1,000, S, S, 3) by split, whose energies are on the record.
    """

    fabric: Fabric
    classifier: Classifier
    model: Model
    optimizer: torch.optim.Optimizer
    batches: Batches
    validation: tuple[Tensor, Tensor]
    parameters: Mapping[str, Any]
    observed: Mapping[str, Tensor]


class _Unpacked(nn.Module):
    """A classifier that returns a tuple: Fabric walks through outputs and refuses `Outputs`."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(
        self, images: Tensor, *, detached_heads: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        outputs: Outputs = self.classifier(images, detached_heads=detached_heads)
        return outputs.logits, outputs.logits_pair, dict(outputs.features)


def start_fabric(device: str, settings: Settings) -> Fabric:
    """Fabric on the wanted device; under torchrun, one of its processes.

    Raises:
        InputError: If the device is unknown or missing, or the processes cannot share a batch
            evenly.
    """
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}", hint=f"one of {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device was found", hint="--device cpu, or --device auto")
    chosen = "cuda" if device == "auto" and torch.cuda.is_available() else device
    local, world = (int(os.environ.get(f"{name}WORLD_SIZE", "1")) for name in ("LOCAL_", ""))
    parts = world * (len(needs_of(settings.objective).unlabelled) or 1)
    for name, factor in (("batch_size", world), ("outlier_batch_size", parts)):
        size = getattr(settings, name)
        if size % factor:
            raise InputError(
                f"{name} {size} cannot be shared evenly by {world} processes and"
                f" {factor // world} image sets",
                hint=f"--{name.replace('_', '-')} {size - size % factor or factor}",
            )
    fabric = Fabric(
        accelerator="cpu" if chosen == "auto" else chosen,
        strategy="ddp" if world > 1 else "auto",
        devices=local,
        num_nodes=world // local,
        precision=_FABRIC_PRECISION[settings.precision],
    )
    fabric.launch()
    return fabric


def end_processes() -> None:
    """Part from the other processes of a run, if there are any, before this one ends.

    A thread of the group that is still running as Python exits can abort a process that has
    finished all its work.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def start_session(
    fabric: Fabric, config: RunConfig, training_set: TrainingSet, start: Run | None = None
) -> Session:
    """Draw the initial weights or load those of a run, and put everything where it is needed.

    Raises:
        ArtifactError: If the weights of the run to start from are damaged.
    """
    settings = config.settings
    torch.manual_seed(settings.seed)
    classifier = build_classifier(settings.model, len(config.classes), heads=settings.heads)
    if start is not None:
        _take_weights(classifier, start)
    classifier.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        classifier.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
        fused=fabric.device.type == "cuda",
    )
    unpacked: nn.Module = _Unpacked(classifier)
    if settings.compile:
        unpacked = compiled(unpacked, fabric.device)
    network, wrapped_optimizer = fabric.setup(unpacked, optimizer)

    def model(images: Tensor, *, detached_heads: Sequence[int] = ()) -> Outputs:
        return Outputs(*network(images, detached_heads=detached_heads))

    needs = needs_of(settings.objective)
    sets = {name: _on_device(training_set, name, fabric.device) for name in DECODED_SPLITS}
    images, labels = sets["training"]
    batches = Batches(
        images=images,
        labels=labels,
        outliers=sets["outliers"][0] if needs.outliers else images[:0],
        settings=settings,
        preprocess=config.preprocess,
        device=fabric.device,
        share=Share(fabric.global_rank, fabric.world_size),
        prior=(torch.bincount(labels) / len(labels)).to(fabric.device),
        unlabelled=tuple(sets[name][0] for name in needs.unlabelled),
    )
    return Session(
        fabric,
        classifier,
        model,
        wrapped_optimizer,
        batches,
        sets["validation"],
        config.objective_parameters,
        _observed({name: pixels for name, (pixels, _) in sets.items()}),
    )


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


def mean_output(session: Session, split: str, function: Callable[[Outputs], Tensor]) -> float:
    """Mean of `function(outputs) -> (N,)` over at most 10,000 images, spread evenly over a split.

    Args:
        session: Its present weights count, in evaluation mode and without augmentation.
        split: `training` or `outliers`.
        function: What to average.
    """
    images = {"training": session.batches.images, "outliers": session.batches.outliers}[split]
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
        session.classifier.eval()
        for rows, outputs in _outputs(session, images):
            energies[rows] = -outputs.logits.double().logsumexp(1)
        session.classifier.train()
        joined = session.fabric.all_reduce(energies, reduce_op="sum")  # zero where not ours
        assert isinstance(joined, Tensor)
        if joined.isfinite().all():
            found[split] = EnergySample.of(joined.cpu().numpy())
    return found


def _means(
    session: Session,
    images: Tensor,
    function: Callable[[slice, Outputs], Tensor],
    *,
    columns: int,
) -> list[float]:
    """Column means of `function(rows, outputs) -> (rows, columns)`, shared among the processes."""
    total = torch.zeros(columns, dtype=torch.float64, device=session.fabric.device)
    session.classifier.eval()
    for rows, outputs in _outputs(session, images):
        total += function(rows, outputs).double().sum(0)
    session.classifier.train()
    joined = session.fabric.all_reduce(total, reduce_op="sum")
    assert isinstance(joined, Tensor)
    means: list[float] = (joined / len(images)).tolist()
    return means


@torch.inference_mode()
def _outputs(session: Session, images: Tensor) -> Iterator[tuple[slice, Outputs]]:
    """This process' share of images uint8 (N, S, S, 3), in batches: which rows, and outputs."""
    share = session.batches.share
    for start in range(
        share.rank * _EVALUATION_BATCH, len(images), share.processes * _EVALUATION_BATCH
    ):
        rows = slice(start, start + _EVALUATION_BATCH)
        batch = normalised(images[rows].to(session.fabric.device), session.batches.preprocess)
        with session.fabric.autocast():
            outputs = session.classifier(batch)
        yield rows, outputs


def save_checkpoint(path: Path, session: Session, state: State) -> None:
    """Write everything that a killed run needs to go on with the same bits.

    Raises:
        DataError: If the disk is full; the previous checkpoint stays.
    """
    content = io.BytesIO()
    torch.save(
        {
            "format": _CHECKPOINT_FORMAT,
            "step": state.step,
            "loss_sum": state.loss_sum,
            "losses": state.losses,
            "seconds": state.seconds,
            "epochs": [asdict(epoch) for epoch in state.epochs],
            "energies": {split: asdict(sample) for split, sample in state.energies.items()},
            "classifier": session.classifier.state_dict(),
            "optimizer": session.optimizer.state_dict(),
        },
        content,
    )
    with atomic_output(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_checkpoint(path: Path, session: Session) -> State:
    """Fill the session from a checkpoint; a run without one starts at its first step.

    Raises:
        ArtifactError: If the checkpoint is damaged or from a newer edge-ood.
    """
    if not path.exists():
        return new_state(session)
    try:
        content: dict[str, Any] = torch.load(
            io.BytesIO(read_regular(path)), map_location=session.fabric.device, weights_only=True
        )
        if content["format"] > _CHECKPOINT_FORMAT:
            raise ArtifactError(
                f"'{path}' has format {content['format']}, this edge-ood reads 1",
                hint="pip install --upgrade edge-ood",
            )
        session.classifier.load_state_dict(content["classifier"])
        session.optimizer.load_state_dict(content["optimizer"])
        return State(
            loss_sum=content["loss_sum"],
            step=content["step"],
            losses=content["losses"],
            seconds=content["seconds"],
            epochs=[EpochReport(**epoch) for epoch in content["epochs"]],
            energies=_energies(content.get("energies", {})),  # earlier versions saved none
        )
    except (
        OSError,
        RuntimeError,
        pickle.UnpicklingError,
        EOFError,
        LookupError,
        TypeError,
        InputError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise ArtifactError(
            f"'{path}' is damaged: {reason}", hint="start again with --force"
        ) from error


def new_state(session: Session) -> State:
    """The state before the first step."""
    return State(torch.zeros((), dtype=torch.float64, device=session.fabric.device))


def _take_weights(classifier: Classifier, start: Run) -> None:
    """Fill in the trunk and as many heads as the run has; a second head stays as it was drawn."""
    settings = start.config.settings
    trained = build_classifier(settings.model, len(start.config.classes), heads=settings.heads)
    load_weights(trained, start)
    classifier.trunk.load_state_dict(trained.trunk.state_dict())
    assert isinstance(classifier.heads, IndependentHeads)
    assert isinstance(trained.heads, IndependentHeads)
    for head, source in zip(classifier.heads.linear, trained.heads.linear, strict=False):
        head.load_state_dict(source.state_dict())


def _observed(pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Images whose energies say what training did, spread evenly over each split that there is."""
    known = "validation" if len(pixels["validation"]) else "training"
    return {
        split: pixels[split][:: -(-len(pixels[split]) // _MOST_OBSERVED)]
        for split in (known, "outliers", "unlabelled")
        if len(pixels[split])
    }


def _energies(saved: Mapping[str, Any]) -> dict[str, EnergySample]:
    return {split: EnergySample(**sample) for split, sample in saved.items()}


def _on_device(
    training_set: TrainingSet, split: str, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images and labels of a split, on the GPU where they leave it half of its free memory."""
    images = torch.from_numpy(training_set.pixels[split])
    labels = training_set.splits[split].labels
    rows = torch.from_numpy(np.zeros(len(images), np.int64) if labels is None else labels)
    if device.type == "cuda" and images.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return images.to(device), rows.to(device)
    return images, rows
