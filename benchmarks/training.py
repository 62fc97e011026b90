"""How fast training is, against the bare step and against a plain PyTorch loop.

Run `python benchmarks/training.py`, or with `--quick` for a smaller network and fewer steps; a
folder of class folders may follow, otherwise scikit-learn's digits are written as PNG files. On a
GPU it does so in fp32, in bf16, and in bf16 with `--compile`, and times whole epochs.

`edge-ood` is the training loop itself: batches augmented anew, one random seed, learning rate and
loss a step. `bare step` is what no loop can do without (forward, cross-entropy, backward, SGD) on
one batch that lies on the device already normalised. `DataLoader` is the same step on batches that
torchvision decodes and augments from the files. They take turns (A B C A B C ...), a few steps
each; the numbers are medians over the turns, ratios within one turn.

On a machine that others use, too, `--threads 1 --clock cpu` counts processor seconds, which hardly
see the others. That clock knows only its own process, so the DataLoader then has no workers.
"""

import argparse
import contextlib
import copy
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import torch
from machine import machine
from PIL import Image
from promises import CLOCKS, Promise, at_least, at_most
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder

from edge_ood.images.preprocess import Preprocess
from edge_ood.objectives import Batch
from edge_ood.registry import Spec
from edge_ood.training.batches import Batches
from edge_ood.training.checkpoint import new_state
from edge_ood.training.compilation import compiled
from edge_ood.training.devices import start_fabric
from edge_ood.training.pixels import channel_statistics
from edge_ood.training.progress import Progress
from edge_ood.training.run_directory import EpochReport, RunConfig
from edge_ood.training.session import Session, start_session
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train_steps
from edge_ood.training.training_set import Folders, read_training_set

SIDE_PX = 32
EPOCH_IMAGES = 50_000  # CIFAR-10
WORKERS = 2
SETTLE_S = 0.5  # in which the workers fill their queue again, while nothing is measured
TIMED_EPOCHS = 3
PROFILE_ROWS = 12
RATIO_GOAL, EPOCH_GOAL_S = 0.97, 2.5


@dataclass(frozen=True)
class Bench:
    """What is measured, and how.

    Attributes:
        model: Name of the network.
        device: `cpu` or `cuda`.
        steps: Of each loop in each turn.
        turns: How many there are.
        clock: Seconds.
        workers: Processes of the DataLoader.
    """

    model: str
    device: str
    steps: int
    turns: int
    clock: Callable[[], float]
    workers: int

    def times(self, loops: Mapping[str, Callable[[int], None]]) -> dict[str, list[float]]:
        """Seconds a step of each loop, turn by turn."""
        times: dict[str, list[float]] = {name: [] for name in loops}
        for loop in loops.values():
            loop(2)
        for _ in range(self.turns):
            for name, loop in loops.items():
                times[name].append(self.seconds(loop, self.steps) / self.steps)
            if self.workers:
                time.sleep(SETTLE_S)
        return times

    def seconds(self, loop: Callable[[int], None], steps: int) -> float:
        """Until the device is done, too."""
        self.wait()
        start = self.clock()
        loop(steps)
        self.wait()
        return self.clock() - start

    def wait(self) -> None:
        """Let the device finish."""
        if self.device == "cuda":
            torch.cuda.synchronize()


class PauseError(Exception):
    """Leaves the training loop between two steps."""


@dataclass(frozen=True)
class PausingBatches(Batches):
    """Batches that call back before each step."""

    before: Callable[[int], None] = lambda step: None

    def at(self, step: int) -> Batch:
        """The batch, as a named section of a profile."""
        self.before(step)
        with record_function("Batches.at"):
            return super().at(step)


@dataclass
class TrainingLoop:
    """The product's loop, a few steps at a time."""

    session: Session
    output: Path
    epochs: list[EpochReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        batches = self.session.batches
        rows = torch.arange(EPOCH_IMAGES, device=batches.labels.device) % len(batches.labels)
        parts = {**vars(batches), "images": batches.images[rows], "labels": batches.labels[rows]}
        self.session = replace(self.session, batches=PausingBatches(**parts, before=self._pause))
        self.state = new_state(self.session)
        self._stop = 0

    def __call__(self, steps: int) -> None:
        """Go on for some steps, and end an epoch where it ends."""
        self._stop = self.state.step + steps
        launch = Launch(checkpoint_s=float("inf"))
        heard = Progress(on_epoch=self.epochs.append)
        with contextlib.suppress(PauseError):
            train_steps(self.session, self.state, self.output, launch=launch, progress=heard)

    def _pause(self, step: int) -> None:
        if step == self._stop:
            raise PauseError


class PlainStep:
    """Forward, cross-entropy, backward and SGD, without any library around them."""

    def __init__(self, classifier: nn.Module, settings: Settings, device: torch.device) -> None:
        network = copy.deepcopy(classifier)
        self.model = compiled(network, device) if settings.compile else network
        self.autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=settings.precision == "bf16"
        )
        self.optimizer = torch.optim.SGD(
            network.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=True,
            fused=device.type == "cuda",
        )

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        """One step."""
        with self.autocast:
            logits = self.model(images).logits
        functional.cross_entropy(logits.float(), labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def bare_loop(session: Session) -> Callable[[int], None]:
    """The plain step on one batch that is there."""
    settings, device = session.batches.settings, session.batches.device
    step, batch = PlainStep(session.classifier, settings, device), session.batches.at(0)

    def loop(steps: int) -> None:
        for _ in range(steps):
            step(batch.images, batch.labels)

    return loop


def loader_loop(session: Session, folder: Path, workers: int) -> Callable[[int], None]:
    """The plain step on batches from files, as torchvision's examples have it."""
    settings, device = session.batches.settings, session.batches.device
    step, preprocess = PlainStep(session.classifier, settings, device), session.batches.preprocess
    augmented = [
        transforms.Resize(SIDE_PX),
        transforms.CenterCrop(SIDE_PX),
        transforms.RandomCrop(SIDE_PX, padding=SIDE_PX // 8),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(preprocess.mean, preprocess.std),
    ]
    images = ImageFolder(str(folder), transforms.Compose(augmented))
    loader = DataLoader(
        images,
        settings.batch_size,
        sampler=RandomSampler(images, replacement=True, num_samples=2**31),  # no epoch ends
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )
    batches = iter(loader)

    def loop(steps: int) -> None:
        for _ in range(steps):
            pixels, labels = next(batches)
            pixels = pixels.to(device, memory_format=torch.channels_last, non_blocking=True)
            step(pixels, labels.to(device, non_blocking=True))

    return loop


def write_digits(folder: Path) -> Path:
    """scikit-learn's digits as class folders of RGB files."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for index, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        target = folder / str(label)
        target.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels * (255 / 16)).round().astype("uint8")).convert("RGB")
        image.resize((SIDE_PX, SIDE_PX)).save(target / f"{index:04d}.png")
    return folder


def open_session(folder: Path, settings: Settings, device: str, output: Path) -> Session:
    """As `edge-ood train` would begin."""
    fabric = start_fabric(device, settings)
    images = read_training_set(Folders(folder), Preprocess(SIDE_PX), settings.seed, scratch=output)
    mean, std = channel_statistics(images.pixels["training"])
    preprocess = Preprocess(SIDE_PX, mean=mean, std=std)
    config = RunConfig(settings, images.splits["training"].classes, preprocess)
    return start_session(fabric, config, images)


def loop_rows(bench: Bench, folder: Path, settings: Settings, scratch: Path) -> Iterator[Promise]:
    """All loops with one precision, then the profile of edge-ood's."""
    session = open_session(folder, settings, bench.device, scratch)
    ours = TrainingLoop(session, scratch)
    loader = f"DataLoader, {bench.workers} workers"
    loops = {
        "bare step": bare_loop(session),
        "edge-ood": ours,
        loader: loader_loop(session, folder, bench.workers),
    }
    how = settings.precision + (", compiled" if settings.compile else "")
    label = f"training {bench.model}, {how}, {bench.device}"
    print(f"\n{label}; batch {settings.batch_size}, {torch.get_num_threads()} threads")
    print(f"{'':22} {'a step':>11} {'images/s':>9} {'of bare':>8}")
    times = bench.times(loops)
    ratios = {}
    for name, seconds in times.items():
        step_s = statistics.median(seconds)
        turns = zip(times["bare step"], seconds, strict=True)
        ratios[name] = statistics.median(bare / other for bare, other in turns)
        print(f"{name:22} {1e3 * step_s:8.2f} ms {settings.batch_size / step_s:9.0f} "
              f"{ratios[name]:8.3f}")  # fmt: skip
    print(f"edge-ood is {ratios['edge-ood'] / ratios[loader]:.2f} times as fast as the DataLoader")
    print_profile(bench, ours)
    if bench.device == "cpu":
        yield at_least(f"{label}, against the bare step", ratios["edge-ood"], RATIO_GOAL)
        return
    seconds = epoch_seconds(ours)
    print(f"an epoch of {EPOCH_IMAGES} images takes {seconds:.2f} s")
    if settings.compile:
        yield at_most(f"{label}, an epoch", seconds, EPOCH_GOAL_S, " s")


def epoch_seconds(loop: TrainingLoop) -> float:
    """Median of what `metrics.csv` says, validation not counted."""
    unfinished = 1  # the turns before were its beginning
    loop((TIMED_EPOCHS + unfinished) * loop.session.batches.steps_per_epoch)
    return statistics.median(epoch.seconds for epoch in loop.epochs[-TIMED_EPOCHS:])


def print_profile(bench: Bench, loop: TrainingLoop) -> None:
    """Where the time of our loop goes, and whether the device waits for images."""
    activities = [ProfilerActivity.CPU]
    if bench.device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    bench.wait()
    with profile(activities=activities) as profiler:
        start = time.perf_counter()
        loop(bench.steps)
        bench.wait()
        wall_us = 1e6 * (time.perf_counter() - start)
    events = profiler.key_averages()
    order = f"self_{bench.device}_time_total"
    print(events.table(sort_by=order, row_limit=PROFILE_ROWS, max_name_column_width=40))
    host_us = sum(event.cpu_time_total for event in events if event.key == "Batches.at")
    print(f"Batches.at keeps the host busy for {host_us / wall_us:.1%} of the time")
    if bench.device == "cuda":
        busy_us = sum(
            event.self_device_time_total
            for event in events
            if event.device_type == DeviceType.CUDA and not event.is_user_annotation
        )
        print(f"the device is busy for {busy_us / wall_us:.1%} of the time")


def main() -> None:
    """Print the tables, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="folders of images, named by class")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer steps, on a CPU of WRN-16-2; in under two minutes",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=None)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = chosen.device or ("cuda" if torch.cuda.is_available() else "cpu")
    bench = Bench(
        model="wrn-16-2" if chosen.quick and device == "cpu" else "wrn-40-2",
        device=device,
        steps=60 if device == "cuda" else 2 if chosen.quick else 8,
        turns=5 if chosen.quick else 7,
        clock=CLOCKS[chosen.clock],
        workers=WORKERS if chosen.clock == "wall" else 0,
    )
    gpu = f"on {torch.cuda.get_device_name()}, " if device == "cuda" else ""
    print(machine(f"{gpu}medians of {bench.turns} turns of {bench.steps} steps"))
    warnings.simplefilter("ignore")  # of the libraries that we compare with
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or write_digits(Path(scratch) / "digits")
        goals = run(bench, folder, Path(scratch))
    print()
    for goal in goals:
        print(goal)


def run(bench: Bench, folder: Path, scratch: Path) -> list[Promise]:
    """All tables: on a GPU, where the host's launches cost most, also with their remedies."""
    settings = Settings(Spec(bench.model), Spec("cross-entropy"))
    variants = [settings]
    if bench.device == "cuda":
        low = replace(settings, precision="bf16")
        variants += [low, replace(low, compile=True)]
    return [goal for variant in variants for goal in loop_rows(bench, folder, variant, scratch)]


if __name__ == "__main__":
    main()
