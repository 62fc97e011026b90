"""pytorch-ood's detectors beside edge-ood's heads: the same scores, seconds, and memory."""

import multiprocessing
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectors_sets import FACTORIES, Answers, Network, Said, frames, weights_of
from numpy.typing import NDArray
from promises import Promise, at_least
from pytorch_ood import detector as peer
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.graph.assemble import assemble, assemble_reader
from edge_ood.onnx_session import open_session
from edge_ood.scores import BoundHead, Outputs, bind_head

__all__ = ["scores", "speed"]

BATCH = 32
ROUNDS = 3
WATCH_S = 0.005
FASTER = 1.8
NAMES = {
    "ash": lambda parts: peer.ASH(parts.maps, parts.flat, percentile=0.9),
    "dice": lambda parts: peer.DICE(parts.features, parts.weight, parts.bias, 0.7),
    "energy": lambda parts: peer.EnergyBased(parts.network),
    "entropy": lambda parts: peer.Entropy(parts.network),
    "fdbd": lambda parts: peer.fDBD(parts.features, parts.layer),
    "gen": lambda parts: peer.GEN(parts.network),
    "kl_matching": lambda parts: peer.KLMatching(parts.network),
    "knn:bank=50000,k=5": lambda parts: peer.KNN(parts.features, k=5),
    "lts": lambda parts: peer.LTS(parts.features, parts.layer, p=0.05),
    "mahalanobis:normalize=false": lambda parts: peer.Mahalanobis(parts.features),
    "max_logit": lambda parts: peer.MaxLogit(parts.network),
    "msp": lambda parts: peer.MaxSoftmax(parts.network),
    "nci": lambda parts: peer.NCI(parts.features, parts.layer, alpha=0.0),
    "nnguide:bank=50000": lambda parts: peer.NNGuide(parts.features, parts.layer, k=10),
    "react": lambda parts: peer.ReAct(parts.maps, parts.flat, percentile=0.9),
    "rmd:normalize=false": lambda parts: peer.RMD(parts.features),
    "scale": lambda parts: peer.SCALE(parts.maps, parts.flat, percentile=0.85),
    "she": lambda parts: peer.SHE(parts.features, parts.layer),
    "vim:origin=weights": lambda parts: peer.ViM(
        parts.features, parts.dimensions, parts.weight, parts.bias
    ),
    "vra": lambda parts: peer.VRA(
        parts.maps, parts.flat, lower_percentile=0.05, upper_percentile=0.95
    ),
}
"""By head: pytorch-ood's detector. Parameters without a default there are those of the head."""

PLAIN_LOGITS = {
    "energy": lambda logits: peer.EnergyBased.score(logits),
    "entropy": lambda logits: peer.Entropy.score(logits),
    "gen": lambda logits: peer.GEN.score(logits, 0.1, None),
    "max_logit": lambda logits: peer.MaxLogit.score(logits),
    "msp": lambda logits: peer.MaxSoftmax.score(logits),
}
OF_MAPS = ("ash", "react", "scale", "vra")


class Parts:
    """A torch network, taken apart as the detectors want it."""

    def __init__(self, network: nn.Module, answers: Answers) -> None:
        linear = answers.linear
        assert linear is not None
        self.network = network
        self.weight = torch.from_numpy(linear.weight.astype(np.float32))
        self.bias = torch.from_numpy(linear.bias.astype(np.float32))
        self.layer = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        with torch.no_grad():
            self.layer.weight.copy_(self.weight)
            self.layer.bias.copy_(self.bias)
        self.flat = nn.Sequential(nn.Flatten(), self.layer)
        self.features = _without_last(network)
        self.maps = nn.Sequential(self.features, nn.Unflatten(1, (-1, 1, 1)))
        width = self.weight.shape[1]
        self.dimensions = 1000 if width >= 2048 else 512 if width >= 768 else width // 2


def _without_last(network: nn.Module) -> nn.Module:
    """The network up to what its last linear layer reads."""
    last = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)][-1]
    found: list[Tensor] = []

    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            layer = network.get_submodule(last)
            layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))

        def forward(self, images: Tensor) -> Tensor:
            self.network(images)
            seen = found.pop()
            found.clear()
            return seen

    return Features()


def scores(answers: Answers, mixed: Said) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Its scores of features and logits, by head."""
    parts = Parts(nn.Sequential(nn.Linear(1, 1)), answers)
    known = torch.from_numpy(answers.train.features)
    labels = torch.from_numpy(answers.train.labels)
    unknown = torch.from_numpy(mixed.features)
    for spec, make in NAMES.items():
        if spec in PLAIN_LOGITS:
            found = PLAIN_LOGITS[spec](torch.from_numpy(mixed.logits))
        elif spec == "kl_matching":
            detector = make(parts)
            detector.fit_logits(torch.from_numpy(answers.train.logits), labels)
            found = detector.predict_logits(torch.from_numpy(mixed.logits))
        elif spec in OF_MAPS:
            detector = make(parts)
            if detector.requires_fit:
                detector.fit_feature_maps(known[:, :, None, None], labels)
            found = detector.predict_feature_maps(unknown[:, :, None, None])
        else:
            detector = make(parts)
            detector.fit_features(known, labels)
            found = detector.predict_features(unknown)
        yield spec, found.detach().numpy().astype(np.float64)


class _Loaded:
    """One network on both sides, and images."""

    def __init__(self, network: Network, data: Path, answers: Answers, most: int) -> None:
        self.answers, self.data = answers, data
        self.reader = assemble_reader(answers.classifier, answers.preprocess)
        images, self.labels = frames(data, network.train, most, answers.preprocess)
        self.frames = np.stack(images)
        mean, std = (np.array(c, np.float32).reshape(3, 1, 1) for c in network.colours)
        pixels = self.frames.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        self.pixels = torch.from_numpy((pixels - mean) / std)
        module = FACTORIES[network.name](answers.num_classes)
        module.load_state_dict(load_file(weights_of(network, data)))
        self.parts = Parts(module.eval(), answers)

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """As a loader gives them, already in memory."""
        labels = torch.from_numpy(self.labels)
        return list(zip(self.pixels.split(BATCH), labels.split(BATCH), strict=True))

    def fit_theirs(self, spec: str) -> Any:
        """Its detector, fitted by its own loop."""
        detector = NAMES[spec](self.parts)
        if detector.requires_fit:
            detector.fit(self.batches())
        return detector

    def fit_ours(self, specs: Sequence[str]) -> list[BoundHead]:
        """The heads, fitted in one pass through onnxruntime."""
        heads = [bind_head(spec) for spec in specs]
        linear = self.answers.linear
        made = [head.accumulator(self.answers.num_classes, linear) for head in heads]
        streams = [accumulator for accumulator in made if accumulator is not None]
        if streams:
            session = open_session(self.reader.SerializeToString(), provider="cpu")
            names = [output.name for output in session.get_outputs()]
            for at in range(0, len(self.frames), BATCH):
                arrays = session.run(names, {INPUT_NAME: self.frames[at : at + BATCH]})
                outputs = Outputs.from_named(dict(zip(names, arrays, strict=True)))
                for accumulator in streams:
                    accumulator.update(outputs, self.labels[at : at + BATCH])
        return [
            head if stream is None else BoundHead(head.head, head.parameters, stream.finish())
            for head, stream in zip(heads, made, strict=True)
        ]

    def predict_theirs(self, detector: Any) -> None:
        """All images, batch by batch."""
        with torch.inference_mode():
            for pixels in self.pixels.split(BATCH):
                detector.predict(pixels)

    def predict_ours(self, session: Any) -> None:
        """All images, preprocessing, p-value and decision included."""
        for at in range(0, len(self.frames), BATCH):
            session.run(None, {INPUT_NAME: self.frames[at : at + BATCH]})

    def session_of(self, heads: Sequence[BoundHead]) -> Any:
        """An artefact of these heads alone."""
        model = assemble(
            self.answers.classifier, self.answers.preprocess, heads, primary=heads[0].name
        )
        return open_session(model.SerializeToString(), provider="cpu")


def speed(network: Network, data: Path, answers: Answers) -> list[Promise]:
    """Print seconds per 1,000 images and peak memory of fitting, by head and of all together."""
    loaded = _Loaded(network, data, answers, network.timed)
    goals, detectors, total = [], {}, 0.0
    print(f"\nSeconds per 1,000 images, and MiB that fitting {network.fitted} adds: "
          "pytorch-ood, edge-ood")  # fmt: skip
    print("\n| head | fit | fit | score | score | times | fit MiB | fit MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for spec in NAMES:
        detector, fit = _timed(lambda spec=spec: loaded.fit_theirs(spec))
        try:
            heads, own_fit = _timed(lambda spec=spec: loaded.fit_ours([spec]))
        except Exception as error:  # a refusal is a row
            print(f"| {spec} | refused: {error} |")
            continue
        detectors[spec], total = detector, total + fit
        goals += _compared(loaded, network, [spec], {spec: detector}, heads, (fit, own_fit))
    heads, own_fit = _timed(lambda: loaded.fit_ours(list(detectors)))
    goals += _compared(loaded, network, list(detectors), detectors, heads, (total, own_fit))
    return goals


def _compared(
    loaded: _Loaded,
    network: Network,
    specs: Sequence[str],
    detectors: Mapping[str, Any],
    heads: Sequence[BoundHead],
    fits: tuple[float, float],
) -> Iterator[Promise]:
    """One row: of a head, or of all of them, which a file computes in one pass."""
    session = loaded.session_of(heads)

    def theirs() -> None:
        for detector in detectors.values():
            loaded.predict_theirs(detector)

    seconds = _interleaved(theirs, lambda: loaded.predict_ours(session))
    name = specs[0] if len(specs) == 1 else f"all {len(specs)}"
    cells = [1000 / len(loaded.frames) * value for value in (*fits, *seconds)]
    peaks = [
        _peak(side, specs, network, loaded.data, loaded.answers)
        for side in ("pytorch-ood", "edge-ood")
    ]
    times = seconds[0] / seconds[1]
    row = " | ".join(f"{value:.2f}" for value in (*cells, times))
    print(f"| {name} | {row} | {peaks[0]} | {peaks[1]} |", flush=True)
    yield at_least(f"{network.name}, {name}: scored", times, FASTER)


def _timed(task: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return task(), time.perf_counter() - started


def _interleaved(*tasks: Callable[[], None]) -> list[float]:
    """Median seconds of each, in turn."""
    times: Sequence[list[float]] = [[] for _ in tasks]
    for task in tasks:
        task()
    for _ in range(ROUNDS):
        for kept, task in zip(times, tasks, strict=True):
            kept.append(_timed(task)[1])
    return [statistics.median(kept) for kept in times]


def _peak(side: str, specs: Sequence[str], network: Network, data: Path, answers: Answers) -> int:
    """MiB that fitting adds to a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_fit_alone, (side, specs, network, data, answers))


def _fit_alone(
    side: str, specs: Sequence[str], network: Network, data: Path, answers: Answers
) -> int:
    loaded = _Loaded(network, data, answers, network.fitted)
    fits: Mapping[str, Callable[[], Any]] = {
        "pytorch-ood": lambda: [loaded.fit_theirs(spec) for spec in specs],
        "edge-ood": lambda: loaded.fit_ours(specs),
    }
    before = most = _resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(WATCH_S):
            most = max(most, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    fits[side]()
    done.set()
    watcher.join()
    return (max(most, _resident()) - before) >> 20


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
