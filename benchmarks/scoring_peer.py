"""Scoring a folder as one would write it in PyTorch, tuned until it stops getting faster.

A DataLoader with worker processes, torchvision's transforms, the eager network in
`inference_mode` with channels last, and one detector of pytorch-ood, energy. Images are decoded
by Pillow or by torchvision.io, whichever is faster; batch size, workers and threads are searched,
too. Workers are started once and stay. `benchmarks/scoring.py` runs this beside edge-ood:

    python benchmarks/scoring_peer.py resnet18 224 FOLDER
"""

import argparse
import copy
import itertools
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import torch
from machine import machine
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from edge_ood.models import build_classifier

CLASSES = 10
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
LEAST_GAIN = 1.02  # smaller ones end the search
TUNED_ON = 96  # images


@dataclass(frozen=True)
class Settings:
    """What is searched."""

    reader: str = "pillow"
    batch_size: int = 32
    workers: int = 2
    threads: int = 2


CHOICES: dict[str, tuple[Any, ...]] = {
    "reader": ("pillow", "torchvision"),
    "threads": (1, 2),
    "workers": (1, 2, 3),
    "batch_size": (8, 16, 32, 64),
}


class Files(Dataset[torch.Tensor]):
    """Normalised images (3, S, S)."""

    def __init__(self, paths: list[Path], size_px: int, reader: str) -> None:
        self.paths = paths
        self.read: Callable[[Path], Any] = _read_pillow if reader == "pillow" else _read_torchvision
        self.transform = v2.Compose(
            [
                v2.Resize(size_px, antialias=True),
                v2.CenterCrop(size_px),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        image: torch.Tensor = self.transform(self.read(self.paths[index]))
        return image


def _read_pillow(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _read_torchvision(path: Path) -> torch.Tensor:
    return decode_image(str(path), ImageReadMode.RGB)


class LogitsOnly(torch.nn.Module):
    """The classifier as pytorch-ood expects it."""

    def __init__(self, classifier: torch.nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, K)."""
        logits: torch.Tensor = self.classifier(images).logits
        return logits


class Peer:
    """A network over a list of files, with one loader kept for each settings."""

    def __init__(self, network: str, size_px: int, paths: list[Path]) -> None:
        from pytorch_ood.detector import EnergyBased

        torch.manual_seed(0)
        model = LogitsOnly(build_classifier(network, CLASSES)).eval()
        self.detector = EnergyBased(copy.deepcopy(model).to(memory_format=torch.channels_last))
        self.size_px = size_px
        self.paths = paths

    def loader(self, settings: Settings, images: int) -> Iterable[torch.Tensor]:
        """Batches of the first so many images, again and again."""
        repeated = list(itertools.islice(itertools.cycle(self.paths), images))
        return DataLoader(
            Files(repeated, self.size_px, settings.reader),
            batch_size=settings.batch_size,
            num_workers=settings.workers,
            persistent_workers=True,
        )

    def seconds(self, loader: Iterable[torch.Tensor], settings: Settings) -> float:
        """One pass over a loader, scores kept."""
        torch.set_num_threads(settings.threads)
        started = time.perf_counter()
        with torch.inference_mode():
            scores = [
                self.detector.predict(batch.to(memory_format=torch.channels_last))
                for batch in loader
            ]
        assert torch.isfinite(torch.cat(scores)).all()
        return time.perf_counter() - started

    def tuned(self, images: int) -> Settings:
        """Settings that no change of one of them makes faster."""
        best, fewest = Settings(), self._quickest(Settings(), images)
        improved = True
        while improved:
            improved = False
            for name, values in CHOICES.items():
                for value in values:
                    other = replace(best, **{name: value})
                    if other == best:
                        continue
                    seconds = self._quickest(other, images)
                    if LEAST_GAIN * seconds < fewest:
                        best, fewest, improved = other, seconds, True
                        print(f"  {images / seconds:7.1f} images/s {best}", file=sys.stderr)
        return best

    def _quickest(self, settings: Settings, images: int) -> float:
        """Of two passes after one that starts the workers."""
        loader = self.loader(settings, images)
        self.seconds(loader, settings)
        return min(self.seconds(loader, settings) for _ in range(2))


def main() -> None:
    """Tune, then measure: so many times, or once for every line on standard input."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network")
    parser.add_argument("size_px", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=256, help="files may come again")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help="measure on each line of stdin")
    chosen = parser.parse_args()
    if not chosen.serve:  # its output is read by a program
        print(machine(f"median of {chosen.repetitions} repetitions"))
    warnings.simplefilter("ignore")  # of the libraries that we compare with
    paths = sorted(chosen.folder.iterdir())
    peer = Peer(chosen.network, chosen.size_px, paths)
    settings = peer.tuned(min(chosen.images, TUNED_ON))
    loader = peer.loader(settings, chosen.images)
    peer.seconds(loader, settings)
    if chosen.serve:
        print(settings, flush=True)
        for _ in sys.stdin:
            print(peer.seconds(loader, settings), flush=True)
        return
    times = [peer.seconds(loader, settings) for _ in range(chosen.repetitions)]
    print(f"{chosen.images / statistics.median(times):.1f} images/s with {settings}")


if __name__ == "__main__":
    main()
