"""What score heads cost: the default ones, ODIN, building its gradient, fitting Mahalanobis.

Run `python benchmarks/heads.py`, or with `--quick` for fewer repetitions. Times are medians of
interleaved runs (A B C A B C ...) in one process; each row of the first two tables has its own.
Networks have random weights: only time is measured here. On a machine that others use, too,
`--threads 1 --clock cpu` counts processor seconds, which hardly see the others.

`network` is the bare classifier in onnxruntime, from a float32 tensor to logits. `+ preprocessing`
adds what every deployment needs before it: uint8 frames are resized (here the identity),
normalised and transposed, inside the graph. An artefact contains that, so its heads' own cost is
the difference to the second: `heads` as a ratio, all of them and those on logits alone in
microseconds, and what they add to the file. What Mahalanobis adds is mostly one matrix product.
"""

import argparse
import copy
import functools
import os
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import numpy as np
import onnx
import torch
from machine import machine
from promises import CLOCKS, Promise, at_least, at_most
from threadpoolctl import threadpool_limits

from edge_ood.attachment.deciding import with_primary
from edge_ood.attachment.request import Options
from edge_ood.calibration.decision import fit_combined, fit_decision
from edge_ood.graph.assemble import assemble, assemble_reader
from edge_ood.graph.decision import with_decision
from edge_ood.graph.simplify import prune, simplify
from edge_ood.images.preprocess import Preprocess
from edge_ood.models import build_classifier
from edge_ood.onnx_session import open_session
from edge_ood.registry import parse_specs
from edge_ood.scores import DEFAULT_HEADS, HEADS, Outputs, bind_head
from edge_ood.scores._example import ExampleLayer, fit_to_example
from edge_ood.scores.mahalanobis import LayerGaussians
from edge_ood.torch_export.export import export_classifier

CLASSES = 10
TIMED = (("wrn-40-2", 32), ("resnet18", 96), ("mobilenet_v3_small", 96))
BUILT = (("wrn-40-2", 32), ("densenet-bc-100-12", 32), ("resnet50", 224))
BATCHES = (32, 1)
TEMPERATURE, EPSILON = 1000.0, 0.0014
DEFAULT = ",".join(name for name in DEFAULT_HEADS if "logits_pair" not in HEADS.get(name).inputs)
LOGIT_HEADS = "gen,msp"
CALIBRATION_IMAGES = 5000
LAYER_SIZES = (64, 64, 128, 256, 512)  # ResNet-34 in the Mahalanobis paper
FIT_BATCH = 64
LEAST_S = 0.02
PAUSE_S = 0.05  # until the threads of the task before no longer spin on the cores

HEADS_GOAL, HEADS_GOAL_US, GROWTH_GOAL_MB = 1.05, 60.0, 0.6
PASSES_GOAL, FASTER_GOAL, BUILD_GOAL_S, FIT_GOAL, MEMORY_GOAL = 3.2, 1.8, 2.0, 2.0, 1.05


@dataclass(frozen=True)
class Network:
    """A classifier in torch and in ONNX."""

    name: str
    preprocess: Preprocess
    module: torch.nn.Module
    traced: onnx.ModelProto

    def frames(self, batch: int) -> np.ndarray:
        """Random uint8 images (N, S, S, 3)."""
        shape = (batch, self.preprocess.size_px, self.preprocess.size_px, 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@functools.cache
def network(name: str, size_px: int) -> Network:
    """Random weights, batch statistics of noise."""
    torch.manual_seed(0)
    module = build_classifier(name, CLASSES).train()
    with torch.inference_mode():
        for _ in range(10):
            module(torch.randn(4, 3, size_px, size_px))
    module.eval()
    traced = simplify(export_classifier(module, size_px))
    return Network(name, Preprocess(size_px), module, traced)


@dataclass(frozen=True)
class Bench:
    """How time is measured."""

    threads: int
    repetitions: int
    clock: Callable[[], float]

    def medians(
        self, tasks: Mapping[str, Callable[[], Any]], repetitions: int | None = None
    ) -> dict[str, float]:
        """Median seconds of each task; in a round each runs for about 20 ms, one after another."""
        counts = {}
        for name, task in tasks.items():
            task()
            counts[name] = max(1, round(LEAST_S / max(self.seconds(task, 1), 1e-6)))
        times: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(repetitions or self.repetitions):
            for name, task in tasks.items():
                time.sleep(PAUSE_S)
                times[name].append(self.seconds(task, counts[name]))
        return {name: statistics.median(values) for name, values in times.items()}

    def seconds(self, task: Callable[[], Any], count: int) -> float:
        """Average over `count` runs."""
        start = self.clock()
        for _ in range(count):
            task()
        return (self.clock() - start) / count

    def runner(self, model: onnx.ModelProto, feed: np.ndarray) -> Callable[[], Any]:
        """All outputs of a model on one input, on the CPU."""
        session = open_session(model.SerializeToString(), provider="cpu", threads=self.threads)
        (entry,) = session.get_inputs()
        return lambda: session.run(None, {entry.name: feed})


def artefact(made: Network, specs: str) -> onnx.ModelProto:
    """Calibrated on as many random scores as fill all knots; decides as by default."""
    generator = np.random.default_rng(0)
    size = made.module.get_submodule("trunk").num_features
    layer = ExampleLayer(CLASSES, size)  # type: ignore[arg-type]
    heads, refused = fit_to_example([bind_head(spec) for spec in parse_specs(specs)], layer)
    assert not refused, refused
    by_head = {
        head.name: generator.normal(size=CALIBRATION_IMAGES).astype(np.float32) for head in heads
    }
    options, _ = with_primary(Options(), list(by_head), CALIBRATION_IMAGES)
    guarantee, primary = options.guarantee, str(options.primary)
    model = assemble(made.traced, made.preprocess, heads, primary=primary, guarantee=guarantee)
    labels = np.zeros(CALIBRATION_IMAGES, np.int64)
    decision = fit_decision(by_head, labels, CLASSES, guarantee)
    if guarantee.combined:
        first_half = np.arange(CALIBRATION_IMAGES) % 2 == 0
        decision = fit_combined(decision, by_head, labels, first_half, guarantee)
    return with_decision(model, decision, primary=primary)


def bare_runners(bench: Bench, made: Network, batch: int) -> dict[str, Callable[[], Any]]:
    """The classifier alone, and behind its preprocessing, both giving logits only."""
    frames = made.frames(batch)
    reader = prune(assemble_reader(made.traced, made.preprocess), ["logits"])
    normalised = made.preprocess.normalise(frames, np.float32)
    return {
        "network": bench.runner(prune(made.traced, ["logits"]), normalised),
        "+ preprocessing": bench.runner(reader, frames),
    }


def default_rows(bench: Bench) -> Iterator[Promise]:
    """Artefact with the default heads and decision against the bare classifier."""
    print(f"default heads ({DEFAULT}), p-values and decisions; {bench.threads} threads")
    print(f"{'network':20} {'batch':>5} {'network':>10} {'+ prepr.':>10} {'artefact':>10}"
          f" {'ratio':>6} {'heads':>6} {'heads, us':>9} {'on logits, us':>13}")  # fmt: skip
    for name, size_px in TIMED:
        made = network(name, size_px)
        for batch in BATCHES:
            tasks = bare_runners(bench, made, batch)
            frames = made.frames(batch)
            whole = artefact(made, DEFAULT)
            tasks["artefact"] = bench.runner(whole, frames)
            tasks["logit heads"] = bench.runner(artefact(made, LOGIT_HEADS), frames)
            bare, prepared, ours, logit_heads = bench.medians(tasks).values()
            print(f"{name:20} {batch:5} {1e3 * bare:7.3f} ms {1e3 * prepared:7.3f} ms "
                  f"{1e3 * ours:7.3f} ms {ours / bare:6.3f} {ours / prepared:6.3f} "
                  f"{1e6 * (ours - prepared):9.0f} "
                  f"{1e6 * (logit_heads - prepared):13.0f}")  # fmt: skip
            for against, base in (("network", bare), ("network with preprocessing", prepared)):
                added_us = 1e6 * (ours - base)
                yield Promise(
                    f"default heads on {name}, batch {batch}, against {against}",
                    f"{ours / base:.3f}x ({added_us:+.0f} us)",
                    f"{HEADS_GOAL}x or {HEADS_GOAL_US:.0f} us",
                    ours <= HEADS_GOAL * base or (batch == 1 and added_us <= HEADS_GOAL_US),
                )
        grown = (whole.ByteSize() - made.traced.ByteSize()) / 1e6
        yield at_most(f"default heads on {name}, file growth", grown, GROWTH_GOAL_MB, " MB")


class LogitsOnly(torch.nn.Module):
    """The classifier as pytorch-ood expects it."""

    def __init__(self, classifier: torch.nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, K)."""
        logits: torch.Tensor = self.classifier(images).logits
        return logits


def eager_odin(model: torch.nn.Module, images: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """ODIN as one would write it in PyTorch: two forward passes, one backward to the images."""
    inputs = images.detach().requires_grad_()
    scaled = model(inputs) / TEMPERATURE
    loss = (scaled.logsumexp(1) - scaled.amax(1)).sum()
    (gradient,) = torch.autograd.grad(loss, inputs)
    with torch.inference_mode():
        moved = images - step * gradient.sign()
        return -(model(moved) / TEMPERATURE).softmax(1).amax(1)


def eager_runners(made: Network, batch: int) -> dict[str, Callable[[], Any]]:
    """Eager ODIN, by hand and by pytorch-ood, from normalised images to scores."""
    from pytorch_ood.detector import ODIN

    model = LogitsOnly(copy.deepcopy(made.module)).to(memory_format=torch.channels_last).eval()
    model.requires_grad_(False)
    normalised = torch.from_numpy(made.preprocess.normalise(made.frames(batch), np.float32))
    images = normalised.contiguous(memory_format=torch.channels_last)
    std = made.preprocess.std
    step = (EPSILON / torch.tensor(std)).reshape(1, 3, 1, 1)
    detector = ODIN(model, eps=EPSILON, temperature=TEMPERATURE, norm_std=list(std))
    return {
        "eager PyTorch": lambda: eager_odin(model, images, step),
        "pytorch-ood": lambda: detector.predict(images),
    }


def odin_rows(bench: Bench) -> Iterator[Promise]:
    """Artefact with ODIN against the bare classifier and against PyTorch."""
    print(f"\nodin; {bench.threads} threads; the floor is 3 passes")
    print(f"{'network':20} {'batch':>5} {'network':>10} {'artefact':>10} {'passes':>6}"
          f" {'eager':>10} {'faster':>6} {'pt-ood':>10} {'faster':>6}")  # fmt: skip
    for name, size_px in TIMED:
        made = network(name, size_px)
        for batch in BATCHES:
            tasks = {"network": bare_runners(bench, made, batch)["network"]}
            tasks["artefact"] = bench.runner(artefact(made, "odin"), made.frames(batch))
            tasks |= eager_runners(made, batch)
            bare, ours, eager, other = bench.medians(tasks).values()
            print(f"{name:20} {batch:5} {1e3 * bare:7.2f} ms {1e3 * ours:7.2f} ms "
                  f"{ours / bare:6.2f} {1e3 * eager:7.2f} ms {eager / ours:6.2f} "
                  f"{1e3 * other:7.2f} ms {other / ours:6.2f}")  # fmt: skip
            label = f"odin on {name}, batch {batch}"
            passes = ours / bare
            yield at_most(f"{label}, bare passes", passes, PASSES_GOAL)
            yield at_least(f"{label}, against eager PyTorch", eager / ours, FASTER_GOAL)
            yield at_least(f"{label}, against pytorch-ood", other / ours, FASTER_GOAL)


def building_rows(bench: Bench, networks: Sequence[tuple[str, int]]) -> Iterator[Promise]:
    """Assembling an artefact with ODIN: nearly all of it is building the gradient."""
    print("\nbuilding an artefact with odin, gradient and second pass included")
    print(f"{'network':20} {'px':>4} {'nodes':>12} {'seconds':>8}")
    for name, size_px in networks:
        made = network(name, size_px)
        nodes = len(made.traced.graph.node)
        seconds = bench.medians({"build": lambda: artefact(made, "odin")}, 5)["build"]  # noqa: B023  # run at once
        total = len(artefact(made, "odin").graph.node)
        print(f"{name:20} {size_px:4} {nodes:5} -> {total:4} {seconds:8.2f}")
        yield at_most(f"building odin on {name}", seconds, BUILD_GOAL_S, " s")


def feature_batches(images: int) -> Iterator[tuple[Outputs, np.ndarray]]:
    """Features of several layers and labels, drawn batch by batch."""
    generator = np.random.default_rng(0)
    for start in range(0, images, FIT_BATCH):
        rows = min(FIT_BATCH, images - start)
        features = {
            f"layer{index}": generator.standard_normal((rows, size), np.float32)
            for index, size in enumerate(LAYER_SIZES)
        }
        yield Outputs(None, features=features), generator.integers(0, CLASSES, rows)


def fit_in_one_pass(batches: Any) -> dict[str, np.ndarray]:
    """Our statistics."""
    accumulator = LayerGaussians(CLASSES)
    for outputs, labels in batches:
        accumulator.update(outputs, labels)
    return accumulator.finish()


def fit_by_layer(stored: Mapping[str, np.ndarray], labels: np.ndarray) -> list[np.ndarray]:
    """Class means, and scikit-learn's covariance and precision of the residuals, per layer."""
    from sklearn.covariance import EmpiricalCovariance

    precisions = []
    for features in stored.values():
        means = np.stack([features[labels == k].mean(axis=0) for k in range(CLASSES)])
        residuals = features.astype(np.float64) - means[labels]
        precisions.append(EmpiricalCovariance().fit(residuals).precision_)
    return precisions


def peak_megabytes(task: Callable[[], Any]) -> float:
    """Most memory that NumPy held at a time while the task ran, beyond what was there before."""
    tracemalloc.start()
    task()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def fitting_rows(bench: Bench, images: int) -> Iterator[Promise]:
    """Mahalanobis statistics in one pass against scikit-learn on stored features."""
    batches = list(feature_batches(images))
    labels = np.concatenate([labels for _, labels in batches])
    stored = {
        layer: np.concatenate([outputs.features[layer] for outputs, _ in batches])
        for layer in batches[0][0].features
    }
    tasks = {
        "one pass": lambda: fit_in_one_pass(batches),
        "sklearn": lambda: fit_by_layer(stored, labels),
    }
    fitted, other = bench.medians(tasks).values()
    memory = peak_megabytes(lambda: fit_in_one_pass(feature_batches(images)))
    smaller = peak_megabytes(lambda: fit_in_one_pass(feature_batches(images // 5)))
    theirs = peak_megabytes(lambda: fit_by_layer(stored, labels))
    print(f"\nMahalanobis fit, {images} images, layers of {LAYER_SIZES} features")
    print(
        f"one pass            {fitted:6.2f} s  {memory:7.1f} MB; {smaller:.1f} MB at a fifth of N"
    )
    print(f"scikit-learn        {other:6.2f} s  {theirs:7.1f} MB, and "
          f"{sum(a.nbytes for a in stored.values()) / 1e6:.1f} MB of stored features")  # fmt: skip
    yield at_least("Mahalanobis fit against scikit-learn", other / fitted, FIT_GOAL)
    yield at_most("Mahalanobis fit, memory at N against N / 5", memory / smaller, MEMORY_GOAL)


def main() -> None:
    """Print the tables, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="in under two minutes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    chosen = parser.parse_args()
    bench = Bench(chosen.threads, 5 if chosen.quick else 15, CLOCKS[chosen.clock])
    print(machine(f"medians of {bench.repetitions} rounds, {chosen.clock} clock"))
    torch.set_num_threads(chosen.threads)
    warnings.simplefilter("ignore")  # of the libraries that we compare with
    with threadpool_limits(chosen.threads):
        goals = run(bench, fitted_images=10_000 if chosen.quick else 50_000)
    print()
    for goal in goals:
        print(goal)


def run(bench: Bench, *, fitted_images: int) -> list[Promise]:
    """All tables."""
    return [
        *default_rows(replace(bench, repetitions=2 * bench.repetitions)),
        *odin_rows(bench),
        *building_rows(bench, BUILT),
        *fitting_rows(replace(bench, repetitions=5), fitted_images),
    ]


if __name__ == "__main__":
    main()
