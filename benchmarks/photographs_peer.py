"""The same network fine-tuned by the loop of torchvision's references, as their users write it."""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from edge_ood.recipes import RECIPES

OPTIONS = {name: cited.value for name, cited in RECIPES.get("fine-tune").options.items()}
WORKERS = 2


@dataclass(frozen=True)
class Peer:
    """Accuracy on the test images in per cent, and seconds of the median epoch."""

    accuracy: float
    epoch_s: float


def trained_by_references(
    folder: Path, weights: Path, *, side_px: int, mean: float, std: float, epochs: int
) -> Peer:
    """Train on `folder/train`, test on `folder/test`; the last layer is new.

    Augmentation is that of the recipe `fine-tune`.
    """
    from networks import efficientnet_lite0  # beside this file, in published/

    torch.manual_seed(0)
    known = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([mean] * 3, [std] * 3)]
    augment = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(side_px),
            v2.CenterCrop(side_px),
            v2.RandomCrop(side_px, padding=side_px // 8),
            v2.RandomHorizontalFlip(),
            v2.TrivialAugmentWide(),
            *known,
        ]
    )
    plain = v2.Compose([v2.ToImage(), v2.Resize(side_px), v2.CenterCrop(side_px), *known])
    training = DataLoader(
        ImageFolder(folder / "train", augment),
        OPTIONS["batch_size"],
        shuffle=True,
        num_workers=WORKERS,
        drop_last=True,
    )
    network = efficientnet_lite0(1000)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network._fc = nn.Linear(network._fc.in_features, 5)
    network = network.to(memory_format=torch.channels_last)
    steps = torch.optim.AdamW(
        network.parameters(), lr=OPTIONS["learning_rate"], weight_decay=OPTIONS["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(steps, epochs * len(training))
    seconds = []
    for _ in range(epochs):
        started = time.monotonic()
        network.train()
        for images, labels in training:
            steps.zero_grad()
            logits = network(images.to(memory_format=torch.channels_last))
            nn.functional.cross_entropy(logits, labels).backward()
            steps.step()
            schedule.step()
        seconds.append(time.monotonic() - started)
    return Peer(_accuracy(network, folder / "test", plain), median(seconds))


@torch.inference_mode()
def _accuracy(network: nn.Module, folder: Path, transform: v2.Transform) -> float:
    network.eval()
    loader = DataLoader(ImageFolder(folder, transform), 64, num_workers=WORKERS)
    right = [(network(images).argmax(1) == labels) for images, labels in loader]
    return 100 * float(torch.cat(right).float().mean())
