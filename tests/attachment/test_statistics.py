"""What statistics are fitted on: images as they are and, where a head asks for it, moved ones."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge_ood.attachment import statistics as module
from edge_ood.attachment.request import Options, Request
from edge_ood.attachment.statistics import images_to_read, with_statistics
from edge_ood.errors import CalibrationError
from edge_ood.images.folders import ImageSet, read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.onnx_reference import onnx_reference
from edge_ood.registry import parse_specs
from edge_ood.scores import BoundHead, Outputs, ScoreHead

SIZE, COUNT, FEW = 2, 9, 4
PREPROCESS = Preprocess(SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
WEIGHTS = np.random.default_rng(1).normal(size=(3 * SIZE * SIZE, 2)).astype(np.float32)


class Seen:
    """Keeps what it is given."""

    def __init__(self, num_classes: int, **parameters: Any) -> None:
        self.parts: list[tuple[Outputs, np.ndarray]] = []

    def update(self, outputs: Outputs, labels: np.ndarray) -> None:
        """A batch."""
        self.parts.append((outputs, labels))

    def merge(self, other: "Seen") -> None:
        """Is not called."""
        raise NotImplementedError

    def finish(self) -> dict[str, np.ndarray]:
        """All images together."""
        moved = [outputs.features["twice"] for outputs, _ in self.parts]
        still = [(outputs.still or outputs).features["twice"] for outputs, _ in self.parts]
        labels = [part for _, part in self.parts]
        return {k: np.concatenate(v) for k, v in {"m": moved, "s": still, "y": labels}.items()}


def first(xp: Any, outputs: Outputs, *_: Any, **__: Any) -> Any:
    """Some score."""
    return outputs.logits[:, 0]


def loss(xp: Any, outputs: Outputs, *_: Any, **__: Any) -> dict[str, Any]:
    """The first logit, for features of the moved image."""
    return {"features/twice": outputs.logits[:, 0]}


STILL = BoundHead(ScoreHead("still", ("logits",), first, "-", fit=Seen), {})
MOVING = BoundHead(
    ScoreHead("moving", ("logits",), first, "-", fit=Seen, perturbation=loss, fits_moved=True),
    {"epsilon": 0.01},
)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Two classes of small noise."""
    generator = np.random.default_rng(0)
    for index in range(COUNT):
        path = tmp_path / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(40, 200, (SIZE, SIZE, 3), np.uint8)).save(path)
    return read_class_folders(tmp_path)


def request_of(images: ImageSet) -> Request:
    """A linear network: the features are its logits, times two."""
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["input"], ["pixels"]),
            helper.make_node("MatMul", ["pixels", "weights"], ["logits"]),
            helper.make_node("Add", ["logits", "logits"], ["features/twice"]),
        ],
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2])
            for name in ("logits", "features/twice")
        ],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    opset = [helper.make_opsetid("", 18)]
    classifier: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return Request(
        classifier=classifier,
        reference=onnx_reference(classifier, PREPROCESS),
        preprocess=PREPROCESS,
        classes=images.classes,
        training=images,
        calibration=images,
        options=Options(heads=parse_specs("energy"), provider="cpu"),
    )


def features(images: ImageSet) -> np.ndarray:
    """By hand, of the images as they are."""
    pixels = np.stack([np.asarray(Image.open(path)) for path in images.paths]) / 255
    normalised = (pixels - PREPROCESS.mean) / PREPROCESS.std
    rows: np.ndarray = normalised.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    return 2 * rows @ WEIGHTS


def test_a_head_is_fitted_on_a_few_moved_images_and_the_others_on_all(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features after the step, beside those before it, each with its image's label."""
    monkeypatch.setattr(module, "_MOVED_IMAGES", FEW)
    read: list[int] = []

    still, moving = with_statistics(
        request_of(images), [STILL, MOVING], images, on_images=read.append
    )

    signs = np.sign(WEIGHTS[:, :1].reshape(3, -1) / np.array(PREPROCESS.std)[:, None])
    fall = 2 * 0.01 * (signs / np.array(PREPROCESS.std)[:, None]).reshape(1, -1) @ WEIGHTS
    rows = [
        int(np.abs(features(images) - row).sum(axis=1).argmin()) for row in moving.statistics["s"]
    ]
    assert FEW == len(set(rows))
    assert images.labels is not None
    np.testing.assert_array_equal(images.labels[rows], moving.statistics["y"])
    np.testing.assert_allclose(moving.statistics["s"], features(images)[rows], rtol=1e-4)
    np.testing.assert_allclose(moving.statistics["m"], features(images)[rows] - fall, rtol=1e-4)
    np.testing.assert_allclose(still.statistics["m"], features(images), rtol=1e-4)
    assert COUNT + FEW == sum(read) == images_to_read([STILL, MOVING], images)


@pytest.mark.parametrize(("heads", "expected"), [([MOVING], FEW), ([STILL], COUNT), ([], 0)])
def test_a_pass_that_nobody_needs_is_not_made(
    heads: list[BoundHead], expected: int, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the meter knows."""
    monkeypatch.setattr(module, "_MOVED_IMAGES", FEW)
    read: list[int] = []

    with_statistics(request_of(images), heads, images, on_images=read.append)

    assert expected == sum(read) == images_to_read(heads, images)


class Poor(Seen):
    """Finds images too few."""

    def finish(self) -> dict[str, np.ndarray]:
        """Never."""
        raise CalibrationError("no image of class 'b'", hint="add some")


POOR = tuple(
    BoundHead(ScoreHead(name, ("logits",), first, "-", fit=Poor), {}) for name in ("one", "other")
)


def test_all_heads_that_cannot_be_fitted_are_named_at_once(images: ImageSet) -> None:
    """Else each attempt costs a pass over the training images."""
    with pytest.raises(CalibrationError) as caught:
        with_statistics(request_of(images), (*POOR, STILL), images)

    assert "no 'one', nor 'other': no image of class 'b'" == str(caught.value)
    assert "add some; or leave them out of --scores" == caught.value.hint


def test_heads_that_cannot_be_fitted_are_left_out_with_their_reason(images: ImageSet) -> None:
    """Where nobody asked for them by name."""
    left_out: dict[str, str] = {}

    found = with_statistics(request_of(images), (*POOR, STILL), images, left_out=left_out)

    assert ["still"] == [head.name for head in found]
    assert dict.fromkeys(("one", "other"), "no image of class 'b'") == left_out
