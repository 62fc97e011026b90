"""Fast gradient sign images made inside a graph, against autograd."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper

from edge_ood.errors import ArtifactError
from edge_ood.graph.adversary import ADVERSARIAL, FGSM_EPSILON, adversary_of, assemble_adversary
from edge_ood.graph.network import PREPROCESSED
from edge_ood.images.preprocess import Preprocess

PREPROCESS = Preprocess(16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
LEVELS = 13  # 0.05 of 255, in whole grey levels


def run(model: ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert [ADVERSARIAL] == [output.name for output in session.get_outputs()]
    moved: np.ndarray = session.run(None, {"images": images})[0]
    return moved


def gradient(classifier: ModelProto, images: np.ndarray) -> np.ndarray:
    """Of the predicted class's negative log-likelihood by the pixels, in float64, by autograd."""
    torch = pytest.importorskip("torch")
    arrays = {t.name: numpy_helper.to_array(t) for t in classifier.graph.initializer}
    weights, linear = (torch.tensor(arrays[name]).double() for name in ("weights", "linear"))
    pixels = torch.tensor(images.transpose(0, 3, 1, 2)).double().requires_grad_()
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (PREPROCESS.mean, PREPROCESS.std))
    maps = torch.nn.functional.conv2d((pixels / 255 - mean) / std, weights, padding=1)
    logits = torch.relu(maps).mean(dim=(2, 3)) @ linear
    torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1), reduction="sum").backward()
    return np.asarray(pixels.grad).transpose(0, 2, 3, 1)


def images_of(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 3])
def test_every_pixel_moves_up_the_loss(colour_classifier: ModelProto, count: int) -> None:
    """Each pixel goes 13 grey levels along the gradient's sign and stays within 0 and 255."""
    images = images_of(count)
    slope = gradient(colour_classifier, images)
    expected = np.clip(images + np.where(slope >= 0, LEVELS, -LEVELS), 0, 255)

    moved = run(assemble_adversary(colour_classifier, PREPROCESS), images)

    assert 0.05 == FGSM_EPSILON
    assert moved.dtype == np.uint8
    sure = np.abs(slope) > 1e-6 * np.abs(slope).max()
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(expected[sure], moved[sure])


def test_the_margin_that_the_network_does_not_see_stays(colour_classifier: ModelProto) -> None:
    """The centre moves as it would by itself; pixels around it have no gradient."""
    images = images_of(2)
    seen = replace(PREPROCESS, size_px=12, crop=0.75)
    expected = images.copy()
    centre = images[:, 2:14, 2:14]
    whole = assemble_adversary(colour_classifier, replace(PREPROCESS, size_px=12))
    expected[:, 2:14, 2:14] = run(whole, centre)

    moved = run(assemble_adversary(colour_classifier, seen), images)

    np.testing.assert_array_equal(expected, moved)


def test_an_artefact_makes_the_images_that_its_classifier_makes(
    colour_artifact: Path, colour_classifier: ModelProto
) -> None:
    """The gradient through a finished file is the gradient of the classifier in it."""
    images = images_of(4)
    expected = run(assemble_adversary(colour_classifier, Preprocess(16)), images)

    adversary = adversary_of(onnx.load(colour_artifact), Preprocess(16))

    np.testing.assert_array_equal(expected, run(adversary, images))


def test_an_adversary_computes_nothing_else(colour_artifact: Path) -> None:
    """Heads, p-values and decisions of the artefact are dropped."""
    adversary = adversary_of(onnx.load(colour_artifact), Preprocess(16))

    assert not {"thresholds", "knots"} & {t.name for t in adversary.graph.initializer}
    assert "energy" not in {name for node in adversary.graph.node for name in node.output}


def test_a_step_of_another_length(colour_classifier: ModelProto) -> None:
    """`epsilon` is in units of the pixel range: 2 of 255 grey levels."""
    images = np.full((1, 16, 16, 3), 100, np.uint8)

    moved = run(assemble_adversary(colour_classifier, PREPROCESS, epsilon=2 / 255), images)

    assert {98, 102} >= set(np.unique(moved))


@pytest.mark.parametrize("name", [PREPROCESSED, "logits"])
def test_a_graph_without_the_tensors_is_refused(colour_artifact: Path, name: str) -> None:
    """A file that lost one of the two tensors is named as the problem."""
    model = onnx.load(colour_artifact)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["renamed" if n == name else n for n in names]

    with pytest.raises(ArtifactError, match=f"no tensor '{name}'"):
        adversary_of(model, Preprocess(16))


def test_the_model_given_stays_as_it_was(colour_artifact: Path) -> None:
    """The caller's artefact is not edited."""
    model = onnx.load(colour_artifact)
    before = model.SerializeToString(deterministic=True)

    adversary_of(model, Preprocess(16))

    assert before == model.SerializeToString(deterministic=True)
