"""What training works with and does not change: device, network, optimiser and images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from edge_ood.models import Classifier, build_classifier, scale_heads
from edge_ood.objectives import Model, head_factor_of, needs_of
from edge_ood.scores import Outputs
from edge_ood.training.averaging import averaged_copy
from edge_ood.training.batch_statistics import let_statistics_follow
from edge_ood.training.batches import Batches, Share, normalised
from edge_ood.training.compilation import compiled
from edge_ood.training.first_weights import RANDOM, FirstWeights
from edge_ood.training.freezing import as_it_was
from edge_ood.training.optimisation import make_optimizer
from edge_ood.training.outlier_stream import OutlierStream
from edge_ood.training.rows import Images, Rows, taken
from edge_ood.training.run_directory import RunConfig
from edge_ood.training.settings import EMA, SYNCHRONIZED, Settings
from edge_ood.training.synchronized import synchronize
from edge_ood.training.training_set import DECODED_SPLITS, TrainingSet

__all__ = ["Session", "start_session"]

_MOST_OBSERVED = 1_000  # images of a split: enough for a picture
_MOST_SEEN_FIRST = 5_000  # training images, by what need not be learnt


@dataclass(frozen=True)
class Session:
    """What stays the same during training.

    Attributes:
        fabric: Device, precision and processes.
        classifier: The network, whose weights are trained in place.
        model: The network as an objective calls it, in the wanted precision.
        averaged: Averages of its weights over the steps, where they are what is validated.
        optimizer: Over all its weights.
        batches: Training batches by step.
        validation: uint8 images (N, S, S, 3) and int64 labels (N,).
        parameters: Of the objective.
        head_factor: What the heads' weights are multiplied by before anything but a step sees them.
        observed: uint8 images (at most 1,000, S, S, 3) by split, whose energies are on the record.
    """

    fabric: Fabric
    classifier: Classifier
    model: Model
    averaged: AveragedModel | None
    optimizer: torch.optim.Optimizer
    batches: Batches
    validation: tuple[Images, Tensor]
    parameters: Mapping[str, Any]
    head_factor: float
    observed: Mapping[str, Images]

    @property
    def judged(self) -> Classifier:
        """The network that is validated and saved: that of averaged weights where there are any."""
        if self.averaged is None:
            return self.classifier
        assert isinstance(self.averaged.module, Classifier)
        return self.averaged.module

    def exported(self) -> Classifier:
        """The network that `judged` would be exported as; it shares the trunk."""
        return self._scaled(self.judged)

    @contextmanager
    def evaluating(self, *, averaged: bool = True) -> Iterator[Classifier]:
        """A network in evaluation mode, where a pass leaves no trace; afterwards it trains on.

        Args:
            averaged: Whether it is that of `exported`; else that of the weights that a step trains,
                with the heads that are exported.
        """
        with as_it_was(self.classifier):
            self.classifier.eval()
            yield self._scaled(self.judged if averaged else self.classifier)

    def _scaled(self, classifier: Classifier) -> Classifier:
        if self.head_factor == 1:
            return classifier
        return scale_heads(classifier, self.head_factor)


class _Unpacked(nn.Module):
    """A classifier that returns a tuple: Fabric walks through outputs and refuses `Outputs`."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(
        self,
        images: Tensor,
        *,
        detached_heads: Sequence[int] = (),
        head_inputs: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        outputs: Outputs = self.classifier(
            images, detached_heads=detached_heads, head_inputs=head_inputs
        )
        return outputs.logits, outputs.logits_pair, dict(outputs.features)


def start_session(
    fabric: Fabric, config: RunConfig, training_set: TrainingSet, first: FirstWeights = RANDOM
) -> Session:
    """Draw a network, fill in the first weights, and put everything where it is needed."""
    sets = {name: _on_device(training_set, name, fabric.device) for name in DECODED_SPLITS}
    classifier = _first_classifier(config, first)
    if not first.trunk:
        pixels = sets["training"][0]
        seen = taken(pixels, torch.arange(0, len(pixels), -(-len(pixels) // _MOST_SEEN_FIRST)))
        classifier.trunk.see_first(normalised(seen, config.preprocess))
    model, optimizer = _set_up(classifier, fabric, config.settings)
    batches = _batches(sets, config, fabric, training_set.stream)
    let_statistics_follow(classifier, batches.steps_per_epoch)
    return Session(
        fabric=fabric,
        classifier=classifier,
        model=model,
        averaged=averaged_copy(classifier) if config.settings.average == EMA else None,
        optimizer=optimizer,
        batches=batches,
        validation=sets["validation"],
        parameters=config.objective_parameters,
        head_factor=head_factor_of(config.settings.objective),
        observed=_observed(
            {name: pixels for name, (pixels, _) in sets.items()}, training_set.stream
        ),
    )


def _first_classifier(config: RunConfig, first: FirstWeights) -> Classifier:
    """The network before the first step; what is drawn of it is a function of the seed."""
    settings = config.settings
    torch.manual_seed(settings.seed)
    classifier = build_classifier(settings.model, len(config.classes), heads=settings.heads)
    first.fill(classifier, head_factor=head_factor_of(settings.objective))
    if settings.batch_norm == SYNCHRONIZED:
        synchronize(classifier.trunk)
    return classifier.to(memory_format=torch.channels_last)


def _set_up(
    classifier: Classifier, fabric: Fabric, settings: Settings
) -> tuple[Model, torch.optim.Optimizer]:
    """The network as an objective calls it, and the optimiser of its weights, on the device."""
    optimizer = make_optimizer(classifier, settings, fabric.device)
    unpacked: nn.Module = _Unpacked(classifier)
    if settings.compile:
        unpacked = compiled(unpacked, fabric.device)
    network, wrapped_optimizer = fabric.setup(unpacked, optimizer)

    def model(
        images: Tensor,
        *,
        detached_heads: Sequence[int] = (),
        head_inputs: Callable[[Tensor], Tensor] | None = None,
    ) -> Outputs:
        return Outputs(*network(images, detached_heads=detached_heads, head_inputs=head_inputs))

    return model, wrapped_optimizer


def _batches(
    sets: Mapping[str, tuple[Images, Tensor]],
    config: RunConfig,
    fabric: Fabric,
    stream: OutlierStream | None,
) -> Batches:
    """All batches of the run, of images and labels by split."""
    needs = needs_of(config.settings.objective)
    outliers = sets["outliers"][0] if stream is None else stream
    images, labels = sets["training"]
    return Batches(
        images=images,
        labels=labels,
        outliers=outliers if needs.outliers else images[:0],
        settings=config.settings,
        preprocess=config.preprocess,
        device=fabric.device,
        share=Share(fabric.global_rank, fabric.world_size),
        prior=(torch.bincount(labels) / len(labels)).to(fabric.device),
        unlabelled=tuple(
            outliers if name == "outliers" else sets[name][0] for name in needs.unlabelled
        ),
    )


def _observed(pixels: Mapping[str, Images], stream: OutlierStream | None) -> dict[str, Images]:
    """Images whose energies say what training did, spread evenly over each split that there is.

    Of outliers that are streamed the first are taken.
    """
    if stream is not None:
        pixels = {**pixels, "outliers": torch.from_numpy(stream.first(_MOST_OBSERVED))}
    in_distribution = "validation" if len(pixels["validation"]) else "training"
    return {
        split: pixels[split][:: -(-len(pixels[split]) // _MOST_OBSERVED)]
        for split in (in_distribution, "outliers", "unlabelled")
        if len(pixels[split])
    }


def _on_device(
    training_set: TrainingSet, split: str, device: torch.device
) -> tuple[Images, Tensor]:
    """Images and labels of a split, on the GPU where they leave it half of its free memory."""
    pixels, labels = training_set.pixels[split], training_set.splits[split].labels
    rows = torch.from_numpy(np.zeros(len(pixels), np.int64) if labels is None else labels)
    images = Rows(torch.from_numpy(pixels.array), torch.from_numpy(pixels.rows))
    if device.type == "cuda" and pixels.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return images.to(device), rows.to(device)
    return images, rows
