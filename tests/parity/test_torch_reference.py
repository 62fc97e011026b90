"""Trained weights, real images: the artefact's perturbed scores against autograd written out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ood.attachment.attach import Unfinished, steps_for
from edge_ood.attachment.request import Options
from edge_ood.graph.assemble import assemble_scores
from edge_ood.images.folders import read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.parity.torch_reference import TorchEvaluator
from edge_ood.registry import parse_specs
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import BoundHead, bind_head
from edge_ood.torch_export.export import request_of
from edge_ood.training.run_directory import read_run
from edge_ood.training.run_weights import load_model

HEADS = "energy,mahalanobis:epsilon=0.004,normalize=false,odin:epsilon=0.004"
LAYERS = ("trunk.stages.0", "trunk.stages.1")
SPREAD = 2e-2  # of the interquartile range, for the rare image with a gradient of nearly zero
TYPICAL = 1e-4  # of it, for nine images in ten


@pytest.fixture(scope="module")
def draft(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Unfinished:
    """A calibrated artefact of the session's run with heads that perturb, over three layers."""
    options = Options(heads=parse_specs(HEADS), provider="cpu", layers=LAYERS)
    current = Unfinished(
        request_of(read_run(run_path), options), tmp_path_factory.mktemp("draft") / "x.onnx"
    )
    for name, step in steps_for(options):
        if name == "verify":
            break
        current = step(current)
    return current


@pytest.fixture(scope="module")
def model(run_path: Path) -> nn.Module:
    """The trained classifier in float64."""
    return load_model(read_run(run_path)).double().eval()


@pytest.fixture(scope="module")
def images(digit_folders: Path, draft: Unfinished) -> NDArray[np.uint8]:
    """ID and OOD images in turn, uint8 (64, 8, 8, 3)."""
    known, far = (read_images(digit_folders / name).paths[:32] for name in ("test", "far"))
    paths = [path for pair in zip(known, far, strict=True) for path in pair]
    return decode_all(paths, draft.request.preprocess)[0]


def normalised(images: NDArray[np.uint8], preprocess: Preprocess) -> Tensor:
    return torch.from_numpy(preprocess.normalise(images))


def stepped(inputs: Tensor, loss: Tensor, epsilon: float, preprocess: Preprocess) -> Tensor:
    """The paper's step, in units of the normalised input, with sign(0) = +1."""
    (gradient,) = torch.autograd.grad(loss.sum(), inputs)
    sign = torch.where(gradient >= 0, 1.0, -1.0)
    return inputs.detach() - epsilon / torch.tensor(preprocess.std).reshape(3, 1, 1) * sign


def odin_by_autograd(
    model: nn.Module, images: NDArray[np.uint8], preprocess: Preprocess, epsilon: float
) -> NDArray[np.float64]:
    """METHODS as published: cross-entropy at T = 1000, step, largest probability at T."""
    inputs = normalised(images, preprocess).requires_grad_()
    scaled = model(inputs).logits / 1000
    loss = nn.functional.cross_entropy(scaled, scaled.argmax(dim=1), reduction="none")
    moved = stepped(inputs, loss, epsilon, preprocess)
    with torch.no_grad():
        shares = torch.softmax(model(moved).logits / 1000, dim=1)
    return np.asarray(-1000 * (shares.amax(dim=1).log() + np.log(shares.shape[1])))


def captured(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Features of the layers, spatially averaged, by hooks of the test's own."""
    found: dict[str, Tensor] = {}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda module, given, output, name=name: found.update({name: output.mean((2, 3))})
        )
        for name in LAYERS
    ]
    outputs = model(inputs)
    for handle in handles:
        handle.remove()
    return {**found, "penultimate": outputs.features["penultimate"]}


def mahalanobis_by_autograd(
    model: nn.Module, images: NDArray[np.uint8], preprocess: Preprocess, head: BoundHead
) -> NDArray[np.float64]:
    """A slow loop over images and layers, each layer moved by its own gradient."""
    statistics = {name: torch.from_numpy(np.asarray(a)) for name, a in head.statistics.items()}

    def distances(features: Tensor, layer: str) -> Tensor:
        white = (features - statistics[f"{layer}/centre"]) @ statistics[f"{layer}/whitening"]
        classes = [((white - mean) ** 2).sum() for mean in statistics[f"{layer}/means"]]
        return torch.stack(classes).min()

    scores = []
    for image in images:
        total = 0.0
        for layer in (*LAYERS, "penultimate"):
            inputs = normalised(image[None], preprocess).requires_grad_()
            loss = distances(captured(model, inputs)[layer][0], layer)
            moved = stepped(inputs, loss, head.epsilon, preprocess)
            with torch.no_grad():
                again = distances(captured(model, moved)[layer][0], layer)
            total += float(again * statistics[f"{layer}/weight"])
        scores.append(total)
    return np.array(scores)


def check_agreement(found: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
    """Nearly all images to float32's precision, the rest within the gate's limit."""
    low, high = np.percentile(expected, [25, 75])
    errors = np.abs(found - expected) / (high - low)
    assert errors.max() <= SPREAD
    assert np.quantile(errors, 0.9) <= TYPICAL


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_odin_equals_autograd_on_every_image(
    draft: Unfinished, model: nn.Module, images: NDArray[np.uint8], batch: int
) -> None:
    """The artefact's score is that of float64 PyTorch, at any batch size."""
    expected = odin_by_autograd(model, images, draft.request.preprocess, 0.004)

    found = Scorer(draft.path, provider="cpu").score_arrays(images, batch_size=batch)

    check_agreement(found.scores["odin"], expected)


def test_one_pixel_equals_a_slow_loop_on_every_image(
    draft: Unfinished, model: nn.Module, images: NDArray[np.uint8]
) -> None:
    """Each image is moved in the one value in which its own gradient is steepest."""
    preprocess, few = draft.request.preprocess, images[:34]
    expected, without = [], []
    for image in few:
        inputs = normalised(image[None], preprocess).requires_grad_()
        scaled = model(inputs).logits / 1000
        loss = nn.functional.cross_entropy(scaled, scaled.argmax(dim=1))
        gradient = torch.autograd.grad(loss, inputs)[0][0].numpy()
        channel, y, x = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        size = 0.2 / preprocess.std[channel]
        moved = inputs.detach().clone()
        moved[0, channel, y, x] += -size if gradient[channel, y, x] >= 0 else size
        for scores, read in ((expected, moved), (without, inputs)):
            with torch.no_grad():
                logits = model(read).logits
            share = torch.softmax(logits / 1000, dim=1).amax()
            scores.append(-1000 * float(share.log() + np.log(logits.shape[1])))

    head = bind_head("odin:epsilon=0.2,pixels=one")
    graph = assemble_scores(draft.request.classifier, preprocess, [head])
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {"images": few})

    check_agreement(found, np.array(expected))
    assert np.median(np.abs(np.subtract(expected, without))) > 20 * TYPICAL * np.ptp(expected)


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_mahalanobis_equals_a_slow_loop_on_every_image(
    draft: Unfinished, model: nn.Module, images: NDArray[np.uint8], batch: int
) -> None:
    """Each layer has its own gradient and step, at any batch size."""
    head = next(h for h in draft.heads if h.name == "mahalanobis")
    few = images[:34]
    expected = mahalanobis_by_autograd(model, few, draft.request.preprocess, head)

    found = Scorer(draft.path, provider="cpu").score_arrays(few, batch_size=batch)

    check_agreement(found.scores["mahalanobis"], expected)


def test_a_batch_split_anywhere_gives_the_same_scores(
    draft: Unfinished, images: NDArray[np.uint8]
) -> None:
    """No image's gradient depends on what else is in the batch."""
    scorer, few = Scorer(draft.path, provider="cpu"), images[:9]
    whole = scorer.score_arrays(few)

    for cut in range(1, len(few)):
        parts = [scorer.score_arrays(few[:cut]), scorer.score_arrays(few[cut:])]
        for head in ("odin", "mahalanobis"):
            joined = np.concatenate([part.scores[head] for part in parts])
            np.testing.assert_allclose(joined, whole.scores[head], rtol=2e-4)


@pytest.mark.parametrize("name", ["odin", "mahalanobis"])
def test_the_step_changes_the_rank_of_images(
    draft: Unfinished, images: NDArray[np.uint8], name: str, tmp_path: Path
) -> None:
    """Against the same head without a step, some images change places, by more than rounding."""
    head = next(h for h in draft.heads if h.name == name)
    still = replace(head, parameters={**head.parameters, "epsilon": 0.0})
    exact = draft.request.reference.float64
    inputs = draft.request.preprocess.normalise(images)
    without = still.score(np, exact(inputs))

    found = Scorer(draft.path, provider="cpu").score_arrays(images).scores[name]

    order = np.argsort(without)
    fall = -np.diff(found[order])
    assert fall.max() > 1e-3 * np.ptp(without)


def test_odin_ranks_as_pytorch_ood_does(
    draft: Unfinished, run_path: Path, images: NDArray[np.uint8]
) -> None:
    """An independent implementation, on the same network and images, orders them alike."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = pytest.importorskip("pytorch_ood.detector")
    trained = load_model(read_run(run_path)).double().eval()

    class Logits(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            logits: Tensor = trained(inputs).logits
            return logits

    preprocess = draft.request.preprocess
    other = detector.ODIN(Logits(), temperature=1000, eps=0.004, norm_std=preprocess.std)
    theirs = np.asarray(other.predict(normalised(images, preprocess)).detach())

    found = Scorer(draft.path, provider="cpu").score_arrays(images).scores["odin"]

    ranks, expected = (np.argsort(np.argsort(values)) for values in (found, theirs))
    assert np.abs(ranks - expected).max() <= 1
    assert np.corrcoef(ranks, expected)[0, 1] > 0.9999


class OnePixel(nn.Module):
    """Logits that depend on the first pixel alone; all other gradients are zero."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Any:
        """Logits (N, 2) and a feature that sums the image up."""
        from edge_ood.scores import Outputs

        first = images[:, 0, 0, 0] * self.scale
        return Outputs(torch.stack([first, -first], dim=1), features={"all": images.sum((2, 3))})


@pytest.mark.parametrize(("clip", "rest"), [("false", -0.5), ("true", 0.0)])
def test_the_reference_steps_as_the_paper_does(clip: str, rest: float) -> None:
    """sign(0) is +1, the std scales the step, and `clip` keeps pixels within their range."""
    preprocess = Preprocess(2, mean=(0, 0, 0), std=(0.5, 0.25, 0.2))
    head = bind_head(parse_specs(f"odin:epsilon=0.5,clip={clip}")[0])
    black = preprocess.normalise(np.zeros((1, 2, 2, 3), np.uint8))
    evaluator = TorchEvaluator(OnePixel(), torch.float64)

    moved = evaluator.second_pass(head, preprocess)(black).logits

    # A tie of the logits: the gradient of the loss is 0, so the pixel is lowered by eps / std.
    np.testing.assert_allclose([[rest / 0.5, -rest / 0.5]], moved, atol=1e-9)
