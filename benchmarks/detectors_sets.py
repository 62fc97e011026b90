"""The published networks, the sets that they are shown, and what they say about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from networks import densenet_bc_100_12, efficientnet_lite0, resnet20, resnet56
from numpy.typing import NDArray

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.graph.assemble import assemble_reader
from edge_ood.graph.last_layer import last_layer
from edge_ood.graph.simplify import simplify
from edge_ood.images.folders import ImageSet, read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_each
from edge_ood.images.splits import evenly_spread
from edge_ood.onnx_session import open_session
from edge_ood.registry import Spec
from edge_ood.scores import LinearLayer, Outputs
from edge_ood.synthetic import KINDS
from edge_ood.torch_export.export import export_classifier
from edge_ood.torch_export.trained_network import load_network
from edge_ood.weights.source import NetworkSource

__all__ = ["NETWORKS", "Answers", "Network", "Said", "opened"]

BATCH = 100
NOISE_IMAGES = 1000
MIXED = 200  # images of each set
FAR = ("dtd10_32x32", "chars74k_32x32", "scene15_32x32", "mnist_test", "fashionmnist_test")
NOISE = ("gaussian", "uniform")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OF_ODIN = ((125.3 / 255, 123 / 255, 113.9 / 255), (63 / 255, 62.1 / 255, 66.7 / 255))
LITE = ((127 / 255,) * 3, (128 / 255,) * 3)


@dataclass(frozen=True)
class Network:
    """A network that somebody published, and what it is shown.

    Attributes:
        weights: File in `DATA/weights`, without its ending.
        published: Its error on `known`.
        train: Set that statistics come from.
        known: Set of ID test images; the same as `train` where one half of it is each.
        near: Sets that resemble the classes.
        far: Sets that do not; names of `edge_ood.synthetic` are made.
        most: Training images for statistics, evenly over the classes.
        timed: Images of which seconds are measured.
        fitted: Images of whose fit the memory is measured.
    """

    name: str
    weights: str
    published: str
    colours: tuple[tuple[float, ...], tuple[float, ...]]
    size_px: int = 32
    crop: float = 1.0
    interpolation: str = "bilinear"
    train: str = "cifar10_train"
    known: str = "cifar10_test"
    near: Sequence[str] = ("cifar100_test",)
    far: Sequence[str] = (*FAR, *NOISE)
    most: int = 50000
    timed: int = 320
    fitted: int = 1000


NETWORKS = {
    network.name: network
    for network in (
        Network("resnet20", "resnet20_cifar10", "8.27 %", IMAGENET, timed=1000, fitted=5000),
        Network("resnet56", "resnet56_cifar10", "6.61 %", IMAGENET, most=20000),
        Network("densenet_bc_100_12", "densenet_bc_100_12_cifar10", "4.81 %", OF_ODIN, most=10000),
        Network(
            "efficientnet_lite0", "efficientnet_lite0", "24.9 % of the whole validation set",
            LITE, 224, 0.875, "bicubic", "imagenet1k_samples_s160", "imagenet1k_samples_s160",
            near=(), far=("dtd10_s160", "trashnet_s128", "scene15_32x32", *NOISE),
        ),
    )
}  # fmt: skip
FACTORIES = {
    factory.__name__: factory
    for factory in (resnet20, resnet56, densenet_bc_100_12, efficientnet_lite0)
}


@dataclass(frozen=True)
class Said:
    """Logits (N, K), features (N, D) and labels (N,) of images, float32."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    labels: NDArray[np.int64]

    def outputs(self, part: slice) -> Outputs:
        """Of some of them, as a head reads them."""
        return Outputs(
            self.logits[part].astype(np.float64),
            features={"penultimate": self.features[part].astype(np.float64)},
        )

    def subset(self, chosen: NDArray[np.int64]) -> "Said":
        """Some of them."""
        return Said(self.logits[chosen], self.features[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Answers:
    """What a network says about every set, its last layer, and itself as ONNX."""

    classifier: onnx.ModelProto
    preprocess: Preprocess
    num_classes: int
    linear: LinearLayer | None
    train: Said
    sets: Mapping[str, Said]

    def error(self, network: Network) -> float:
        """Share of all ID test images with a wrong label."""
        known = self.sets[network.known]
        return float((known.logits.argmax(axis=1) != known.labels).mean())

    def mixed(self, network: Network) -> Said:
        """Some images of every set."""
        parts = [
            said.subset(np.linspace(0, len(said.logits) - 1, MIXED).astype(np.int64))
            for said in self.sets.values()
        ]
        return Said(*(np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])))


def weights_of(network: Network, data: Path) -> Path:
    """Its file."""
    return data / "weights" / f"{network.weights}.safetensors"


def opened(network: Network, data: Path, out: Path, limit: int | None) -> Answers:
    """Export it as `edge-ood export` does, and show it every set that it has not seen."""
    classes = labelled(data / network.train).classes
    source = NetworkSource(
        Spec(f"networks:{network.name}"), weights_of(network, data), network.size_px,
        *network.colours, crop=network.crop, interpolation=network.interpolation,
    )  # fmt: skip
    loaded = load_network(source, len(classes))
    classifier = simplify(export_classifier(loaded.classifier, network.size_px))
    reader = assemble_reader(classifier, loaded.preprocess)
    session = open_session(reader.SerializeToString(), provider="cpu")
    cache = out / "cache"
    cache.mkdir(parents=True, exist_ok=True)

    def said(name: str, most: int | None) -> Said:
        file = cache / f"{network.name}.{name}.{most or 'all'}.npz"
        if not file.exists():
            arrays = vars(_shown(session, data, name, most, loaded.preprocess))
            partial = file.with_suffix(".partial.npz")
            np.savez(partial, **arrays)
            partial.rename(file)
        with np.load(file, allow_pickle=False) as kept:
            return Said(kept["logits"], kept["features"], kept["labels"])

    sets = {name: said(name, limit) for name in (network.known, *network.near, *network.far)}
    train = said(network.train, network.most)
    if network.train == network.known:
        even = np.arange(len(train.labels)) % 2 == 0
        train, sets[network.known] = (
            train.subset(np.flatnonzero(even)), sets[network.known].subset(np.flatnonzero(~even)),
        )  # fmt: skip
    return Answers(classifier, loaded.preprocess, len(classes), last_layer(classifier), train, sets)


def labelled(folder: Path) -> ImageSet:
    """Images in folders, each of which is a class, if of one image."""
    return read_images(folder, sorted(each.name for each in folder.iterdir() if each.is_dir()))


def frames(
    data: Path, name: str, most: int | None, preprocess: Preprocess
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """Images (S, S, 3) at network size, made or decoded, with labels."""
    size = preprocess.resized_px
    if name in KINDS.names():
        generator = np.random.default_rng(0)
        made = [KINDS.get(name).make(generator, size) for _ in range(NOISE_IMAGES)]
        return [np.round(255 * image).astype(np.uint8) for image in made], np.zeros(
            NOISE_IMAGES, np.int64
        )
    images = labelled(data / name)
    if most is not None:
        images = evenly_spread(images, most)
    assert images.labels is not None
    return [item.pixels for item in decode_each(images.paths, preprocess)], images.labels


def _shown(session, data: Path, name: str, most: int | None, preprocess: Preprocess) -> Said:
    images, labels = frames(data, name, most, preprocess)
    names = [output.name for output in session.get_outputs()]
    parts = []
    for at in range(0, len(images), BATCH):
        batch = np.stack(images[at : at + BATCH])
        arrays = session.run(names, {INPUT_NAME: batch})
        outputs = Outputs.from_named(dict(zip(names, arrays, strict=True)))
        parts.append((outputs.logits, outputs.features["penultimate"]))
    print(f"{name}: {len(images)} images", flush=True)
    logits, features = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Said(logits, features, labels)
