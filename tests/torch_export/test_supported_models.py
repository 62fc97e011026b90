"""The networks that the documentation lists export, with every kind of head, at any batch size.

`python tests/torch_export/test_supported_models.py` measures all of them, for some minutes, and
writes the page.
"""

import copy
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from PIL import Image

from edge_ood.attachment.attach import attach
from edge_ood.attachment.request import Options, Request
from edge_ood.images.folders import ImageSet, read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.parity.differences import Difference
from edge_ood.registry import parse_specs

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")

PAGE = Path(__file__).parents[2] / "docs" / "supported-models.md"
OTHERS = "## Attached classifiers"  # what follows is written by tests/zoo/test_zoo.py
HEADS = ("energy", "odin", "mahalanobis")
FAST = ("wrn-16-2",)
SIDES_PX = {
    "wrn-16-2": 32,
    "wrn-40-2": 32,
    "densenet-bc-100-12": 32,
    "resnet18": 32,
    "resnet50": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "mobilenet_v3_large": 32,
    "efficientnet_b0": 32,
    "regnet_y_400mf": 32,
    "shufflenet_v2_x1_0": 64,
    "convnext_tiny": 32,
    "vit_b_16:image_size=32": 32,
    "swin_t": 32,
}
IMAGES = {"training": 20, "calibration": 10}  # of each class
IMAGES_OF_STATISTICS, BATCH = 120, 60  # of each class, for batch normalisation alone
TEMPERATURE, EPSILON = 1000.0, 0.0014  # the paper's, and the head's defaults
OF_FLOAT32, OF_IQR = 2, 2e-2  # what a gradient head may be off by


@dataclass(frozen=True)
class Exported:
    """A network, the file made of it, and what the parity gate found."""

    network: torch.nn.Module
    images: NDArray[np.uint8]
    classifier: ModelProto
    artefact: ModelProto
    layers: tuple[str, ...]
    differences: dict[str, Difference]


@cache
def exported(name: str) -> Exported:
    """The network in a file with all three kinds of heads, through the pipeline of `export`."""
    from edge_ood.parity.torch_reference import torch_reference
    from edge_ood.torch_export.export import export_classifier
    from edge_ood.torch_export.layers import WithLayers, choose_layers

    side_px = SIDES_PX[name]
    preprocess = Preprocess(side_px)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sets = {role: photographs(folder / role, side_px, n) for role, n in IMAGES.items()}
        images, _ = decode_all(sets["training"].paths, preprocess)
        many = photographs(folder / "many", side_px, IMAGES_OF_STATISTICS)
        network = with_statistics(name, decode_all(many.paths, preprocess)[0])
        layers = choose_layers(network, side_px, ("auto",))
        layered = WithLayers(network, layers)
        traced = export_classifier(layered, side_px)
        request = Request(
            classifier=traced,
            reference=torch_reference(layered, traced),
            preprocess=preprocess,
            classes=sets["training"].classes,
            options=Options(heads=parse_specs(",".join(HEADS)), provider="cpu", layers=layers),
            **sets,
        )
        attached = attach(request, folder / "artefact.onnx")
        artefact = onnx.load(attached.path)
    differences = {found.output: found for found in attached.parity.differences}
    return Exported(network, images, request.classifier, artefact, layers, differences)


def photographs(folder: Path, side_px: int, count: int) -> ImageSet:
    """Patches of two photographs, which are the classes."""
    generator = np.random.default_rng(count)
    for name in ("china", "flower"):
        photograph = Image.fromarray(datasets.load_sample_image(f"{name}.jpg"))
        (folder / name).mkdir(parents=True)
        for index in range(count):
            side = int(generator.integers(64, 257))
            left, top = generator.integers(0, (photograph.width - side, photograph.height - side))
            patch = photograph.crop((left, top, left + side, top + side))
            patch.resize((side_px, side_px)).save(folder / name / f"{index:02d}.png")
    return read_class_folders(folder)


def with_statistics(name: str, images: NDArray[np.uint8]) -> torch.nn.Module:
    """The untrained network, its batch normalisation adapted to the images and to noise.

    Without noise among them, the gate's noise images lie a hundred deviations out, where two
    float32 programs agree on nothing in a deep network that was never trained.
    """
    from edge_ood.models import build_classifier

    generator = np.random.default_rng(0)
    torch.manual_seed(0)
    network = build_classifier(name, 2)
    noise = generator.integers(0, 256, images[::4].shape, np.uint8)
    mixed = generator.permutation(np.concatenate([images, noise]))
    entered = torch.from_numpy(Preprocess(images.shape[1]).normalise(mixed, np.float32))
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all batches, not a moving one from 0 and 1
    with torch.no_grad():
        for batch in entered.split(BATCH) if norms else ():
            network.train()(batch)
    return network.eval()


def odin_by_autograd(made: Exported, dtype: torch.dtype) -> NDArray[np.float64]:
    """ODIN's score (N,) as the paper has it, minus the log of its softmax over that of chance."""
    network = copy.deepcopy(made.network).to(dtype)
    default = Preprocess(made.images.shape[1])
    mean, std = (
        torch.tensor(units, dtype=dtype).reshape(3, 1, 1) for units in (default.mean, default.std)
    )
    pixels = torch.from_numpy(made.images).permute(0, 3, 1, 2).to(dtype) / 255
    pixels.requires_grad_()
    logits = network((pixels - mean) / std).logits
    predicted = logits.argmax(dim=1)
    loss = torch.nn.functional.cross_entropy(logits / TEMPERATURE, predicted, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    moved = pixels.detach() - EPSILON * torch.where(gradient >= 0, 1.0, -1.0).to(dtype)
    with torch.no_grad():
        scaled = network((moved - mean) / std).logits.double() / TEMPERATURE
    classes = scaled.shape[1]
    score = -TEMPERATURE * (scaled.log_softmax(dim=1).amax(dim=1) + np.log(classes))
    return score.numpy()


def page_of(found: dict[str, Exported]) -> str:
    """The page of the documentation."""
    table = "\n".join([row_of(name, made) for name, made in found.items()])
    layers = "\n".join(f"- `{name}`: `{','.join(found[name].layers)}`" for name in found)
    images = " and ".join(f"{2 * count} {role}" for role, count in IMAGES.items())
    return f"""# Supported models

Every network of this page exports with heads on logits, on features and on gradients, at any batch
size. `python tests/torch_export/test_supported_models.py` measures all of them and writes the page;
`make test ARGS="-m slow"` compares it with what your versions of the libraries make.

Each is built untrained, for square images of the given side, and exported with `energy`, `odin` and
`mahalanobis` over the layers that `--layers auto` chooses, fitted on patches of two photographs:
{images}. *Nodes* counts the ONNX nodes of the classifier alone and of the finished
file, in which `odin` needs the gradient and a second pass. The other columns are the largest
difference between the file and PyTorch in float64, and what the parity gate allows: up to 4 times
the error of PyTorch in float32, or 2 times for `odin`.

| `--model` | side | nodes | nodes with heads | {" | ".join(f"`{head}`" for head in HEADS)} |
| --- | --- | --- | --- |{" --- |" * len(HEADS)}
{table}

Other networks of torchvision, and your own, export if every operator between images and logits has
a gradient rule; if one has none, the error names it. Heads on logits and features need no rule.

## Layers that `--layers auto` chooses

`penultimate`, which the linear layer reads, comes last and is not listed.

{layers}
"""


def row_of(name: str, made: Exported) -> str:
    """The network's line of the table."""
    parity = [
        f"{made.differences[head].error:.0e} of {made.differences[head].allowed:.0e}"
        for head in HEADS
    ]
    nodes = [str(len(model.graph.node)) for model in (made.classifier, made.artefact)]
    return "| " + " | ".join([f"`{name}`", f"{SIDES_PX[name]} px", *nodes, *parity]) + " |"


def page_rows() -> dict[str, list[str]]:
    """Cells of the page's table by network."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    return {name.strip("`"): rest for name, *rest in cells}


NETWORKS = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in SIDES_PX]


def test_the_page_lists_the_networks() -> None:
    """Nothing is promised that is not tested here, and nothing is tested in silence."""
    assert list(SIDES_PX) == list(page_rows())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_counts_the_nodes(name: str) -> None:
    """The numbers of the documentation are those of the present code."""
    made = exported(name)

    side, classifier, artefact, *_ = page_rows()[name]

    assert f"{SIDES_PX[name]} px" == side
    assert (int(classifier), int(artefact)) == (
        len(made.classifier.graph.node),
        len(made.artefact.graph.node),
    )
    assert f"- `{name}`: `{','.join(made.layers)}`\n" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_head_passes_the_gate(name: str) -> None:
    """Logits, features and gradient: nothing is farther from float64 than float32 has to be."""
    differences = exported(name).differences

    assert set(HEADS) <= set(differences)
    assert [] == [found for found in differences.values() if not found.passed]


@pytest.mark.parametrize("name", NETWORKS)
def test_odin_is_that_of_autograd_at_any_batch_size(name: str) -> None:
    """The file's score is ODIN's as autograd computes it, for 1, 3 and all images at a time."""
    made = exported(name)
    expected = odin_by_autograd(made, torch.float64)
    plain = np.abs(odin_by_autograd(made, torch.float32) - expected).max()
    limit = max(OF_FLOAT32 * plain, OF_IQR * np.subtract(*np.percentile(expected, [75, 25])))
    session = onnxruntime.InferenceSession(
        made.artefact.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    for batch in (1, 3, len(expected)):
        parts = np.split(made.images, range(batch, len(expected), batch))
        found = np.concatenate([session.run(["odin"], {"images": part})[0] for part in parts])

        np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


if __name__ == "__main__":
    _, mark, attached = PAGE.read_text("utf-8").partition(OTHERS)
    networks = page_of({name: exported(name) for name in SIDES_PX})
    PAGE.write_text(f"{networks}\n{mark}{attached}", "utf-8")
