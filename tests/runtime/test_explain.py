"""Explanations of an artefact whose score depends on one patch of the image."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from edge_ood.artifact.calibration_record import Calibration, Probe
from edge_ood.artifact.metadata import HeadRecord, Metadata, store_metadata
from edge_ood.errors import DataError, InputError
from edge_ood.graph.assemble import assemble
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import bind_parameters
from edge_ood.runtime.calibrate import calibrate_artifact
from edge_ood.runtime.explain import explain_image, seen_box
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import HEADS, BoundHead

ROW, COLUMN = 6, 1
"""The patch of 2 x 2 px, of 8 x 8 patches, that the network looks at."""

UNIT = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
GAIN = 8


def looking_at_a_patch() -> ModelProto:
    """Logits are eight times the mean red, green and blue of that patch alone."""
    arrays = {
        "start": np.array([2 * ROW, 2 * COLUMN]),
        "end": np.array([2 * ROW + 2, 2 * COLUMN + 2]),
        "axes": np.array([2, 3]),
        "gain": np.float32(GAIN),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["input", "start", "end", "axes"], ["patch"]),
            helper.make_node("ReduceMean", ["patch", "axes"], ["means"], keepdims=0),
            helper.make_node("Mul", ["means", "gain"], ["logits"]),
        ],
        "patch",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def make_scorer(folder: Path, heads: dict[str, dict[str, Any]], preprocess: Preprocess) -> Scorer:
    """An artefact of this network, which the first head decides, at a temperature of 2."""
    bound = [
        BoundHead(head, bind_parameters(head.score, parameters, owner=name))
        for name, parameters in heads.items()
        for head in [HEADS.get(name)]
    ]
    primary = bound[0].name
    model = assemble(looking_at_a_patch(), preprocess, bound, primary=primary)
    metadata = Metadata(
        classes=("red", "green", "blue"),
        preprocess=preprocess,
        heads=tuple(HeadRecord(head.name, head.parameters) for head in bound),
        primary=primary,
        calibration=Calibration(0.05, 0, {head.name: 0.0 for head in bound}, ""),
        manifests={},
        probe=Probe(seed=0),
        temperature=2.0,
    )
    store_metadata(model, metadata)
    path = folder / "patch.onnx"
    onnx.save(model, path)
    images = [folder / f"{index}.png" for index in range(20)]
    generator = np.random.default_rng(0)
    for image in images:
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), np.uint8)).save(image)
    calibrate_artifact(path, images, provider="cpu")
    return Scorer(path, provider="cpu")


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A frame of 16 x 16 px."""
    return np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)


def energy(rgb: NDArray[Any]) -> float:
    """Of a patch with this mean colour, in 0 to 255."""
    return float(-np.log(np.exp(GAIN * rgb.astype(float) / 255).sum()))


def test_the_map_has_its_peak_where_the_score_comes_from(
    tmp_path: Path, image: NDArray[np.uint8]
) -> None:
    """Every other patch can be covered and nothing changes."""
    patch = (slice(2 * ROW, 2 * ROW + 2), slice(2 * COLUMN, 2 * COLUMN + 2))
    image[patch] = 0  # the darker, the more out-of-distribution
    covered = image.reshape(-1, 3).mean(axis=0).round()

    found = explain_image(make_scorer(tmp_path, {"energy": {}}, Preprocess(16, **UNIT)), image)

    expected = np.zeros((8, 8))
    expected[ROW, COLUMN] = energy(np.zeros(3)) - energy(covered)
    assert expected[ROW, COLUMN] > 1
    np.testing.assert_allclose(expected, found.falls, rtol=1e-4)
    assert "lower left (row 7, column 2 of 8 x 8)" in str(found)


def test_patches_are_of_what_the_network_sees(tmp_path: Path) -> None:
    """Of 20 px it sees the central 16, so its patch begins two pixels further on."""
    image = np.full((20, 20, 3), 200, np.uint8)
    image[2 + 2 * ROW : 4 + 2 * ROW, 2 + 2 * COLUMN : 4 + 2 * COLUMN] = 0

    scorer = make_scorer(tmp_path, {"energy": {}}, Preprocess(16, crop=0.8, **UNIT))
    found = explain_image(scorer, image)

    assert [[ROW, COLUMN]] == np.argwhere(found.falls).tolist()
    assert (2.0, 2.0, 18.0, 18.0) == found.seen_box
    assert (16, 16, 3) == found.seen.shape


def test_the_gradient_is_where_the_score_comes_from(
    tmp_path: Path, image: NDArray[np.uint8]
) -> None:
    """The network has none elsewhere; the deciding score has none at all, so ODIN's is shown."""
    heads = {"energy": {}, "odin": {"epsilon": 0.01}}

    found = explain_image(make_scorer(tmp_path, heads, Preprocess(16, **UNIT)), image)

    expected = np.zeros((16, 16))
    expected[2 * ROW : 2 * ROW + 2, 2 * COLUMN : 2 * COLUMN + 2] = 1
    assert "odin" == found.gradient_head
    np.testing.assert_allclose(expected, found.gradient, atol=1e-6)


def test_scores_come_by_suspicion(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    """By p-value, with what the scorer says of the same image, and one of them decides."""
    scorer = make_scorer(tmp_path, {"energy": {}, "msp": {}, "gen": {}}, Preprocess(16, **UNIT))
    (verdict,) = scorer(image)

    found = explain_image(scorer, image)

    assert sorted(head.pvalue for head in found.heads) == [head.pvalue for head in found.heads]
    assert {"energy", "msp", "gen"} == {head.name for head in found.heads}
    assert ["energy"] == [head.name for head in found.heads if head.decides]
    for head in found.heads:
        said = verdict.scores[head.name], verdict.pvalues[head.name], verdict.decisions[head.name]
        assert said == (head.score, head.pvalue, head.is_ood)
        assert head.is_ood == (not head.score <= head.threshold)


def test_classes_are_sorted_by_logits_at_the_temperature(tmp_path: Path) -> None:
    """Green is brightest in this image, red next; probabilities are those of half the logits."""
    image = np.broadcast_to(np.array([120, 200, 40], np.uint8), (16, 16, 3))
    powers = np.exp(GAIN * np.array([200, 120, 40]) / 255 / 2)

    scorer = make_scorer(tmp_path, {"energy": {}}, Preprocess(16, **UNIT))
    found = explain_image(scorer, np.ascontiguousarray(image))

    assert ["green", "red", "blue"] == [answer.name for answer in found.nearest]
    assert found.nearest == found.probable
    shares = [answer.probability for answer in found.probable]
    np.testing.assert_allclose(powers / powers.sum(), shares, rtol=1e-5)


def test_a_file_is_explained_as_its_pixels(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    """And named."""
    scorer = make_scorer(tmp_path, {"energy": {}}, Preprocess(16, **UNIT))
    path = tmp_path / "image.png"
    Image.fromarray(image).save(path)

    of_file, of_pixels = explain_image(scorer, str(path)), explain_image(scorer, image)

    assert (path, None) == (of_file.verdict.path, of_pixels.verdict.path)
    assert of_pixels.heads == of_file.heads
    np.testing.assert_array_equal(of_pixels.falls, of_file.falls)


@pytest.mark.parametrize("size", [(240, 180), (90, 250), (64, 64)])
@pytest.mark.parametrize(
    "options", [{}, {"crop": 0.8}, {"resize": "stretch"}, {"resize": "stretch", "crop": 0.75}]
)
def test_the_box_is_what_pixels_come_from(size: tuple[int, int], options: dict[str, Any]) -> None:
    """Of an image that says where each of its pixels is, the outermost that are seen agree."""
    width, height = size
    ramps = np.zeros((height, width, 3), np.uint8)
    ramps[..., 0], ramps[..., 1] = np.arange(width), np.arange(height)[:, None]
    preprocess = Preprocess(32, **options)

    left, top, right, bottom = seen_box(preprocess, size)

    seen = preprocess.fit(ramps)[preprocess.centre, preprocess.centre].astype(float)
    across, down = (right - left) / 32, (bottom - top) / 32
    ends = [left + across / 2, right - across / 2, top + down / 2, bottom - down / 2]
    found = [seen[16, 0, 0], seen[16, -1, 0], seen[0, 16, 1], seen[-1, 16, 1]]
    np.testing.assert_allclose(np.array(ends) - 0.5, found, atol=1.5)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (np.zeros((2, 16, 16, 3), np.uint8), InputError, "2 images, expected one"),
        (["a.png", "b.png"], InputError, "cannot explain a list, expected one image"),
        (None, InputError, "cannot explain a NoneType"),
        (Path("/"), DataError, "'/' is a folder, expected one image"),
        ("missing.png", DataError, "cannot read 'missing.png'"),
    ],
    ids=str,
)
def test_what_is_not_one_image_is_refused(
    given: Any, kind: type[Exception], message: str, scorer: Scorer
) -> None:
    """With a hint."""
    with pytest.raises(kind, match=message) as caught:
        explain_image(scorer, given)

    assert caught.value.hint  # type: ignore[attr-defined]  # all errors of the package have one
