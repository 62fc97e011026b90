"""Networks that answer by chance, by batch or not in numbers, as onnxruntime runs them."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_ood.errors import InputError
from edge_ood.foreign.conventions import Convention, ForeignNetwork
from edge_ood.foreign.steadiness import check_steady
from edge_ood.graph.intake import image_input
from edge_ood.images.preprocess import Preprocess

Network = Callable[..., onnx.ModelProto]
UNIT = Preprocess(16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
BYTE = Preprocess(16, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))


def checked(model: onnx.ModelProto, *ways: Preprocess, output: str = "changed") -> None:
    entry = image_input(model)
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    conventions = [Convention(way, "rgb", entry) for way in ways or (UNIT,)]
    check_steady(ForeignNetwork(model, output, entry.batch, "cpu"), conventions, images)


def changed(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    model.graph.node.extend(nodes)
    return model


@pytest.mark.parametrize("batch", ["N", 1, 4])
@pytest.mark.parametrize("elem_type", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_a_sound_network_passes(batch: str | int, elem_type: int, foreign_network: Network) -> None:
    """At a fixed batch and in float16 too."""
    checked(foreign_network(batch=batch, elem_type=elem_type), output="output")


def test_a_network_that_draws_lots_is_refused(foreign_network: Network) -> None:
    """Noise from anywhere counts, not only from Dropout."""
    noise = helper.make_node("RandomNormalLike", ["output"], ["noise"])
    model = changed(
        foreign_network(), noise, helper.make_node("Add", ["output", "noise"], ["changed"])
    )

    with pytest.raises(InputError, match="two runs on the same images differ by"):
        checked(model)


@pytest.mark.parametrize("batch", ["N", 4])
def test_a_network_that_looks_at_the_batch_is_refused(
    batch: str | int, foreign_network: Network
) -> None:
    """As batch normalisation in training mode does, whatever it is made of."""
    model = foreign_network(batch=batch)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    mean = helper.make_node("ReduceMean", ["output", "first"], ["mean"])
    changed(model, mean, helper.make_node("Sub", ["output", "mean"], ["changed"]))

    with pytest.raises(InputError, match="alone an image gets scores that differ by"):
        checked(model)


def test_scores_that_are_no_numbers_are_refused(foreign_network: Network) -> None:
    """Float16 ends at 65504."""
    model = foreign_network(weights=np.full((3, 3), 6e4), elem_type=TensorProto.FLOAT16)

    with pytest.raises(InputError, match="scores of 32 of 32 images are not finite") as caught:
        checked(model, output="output")

    assert "float16" in str(caught.value.hint)


def test_one_convention_without_numbers_does_not_matter(foreign_network: Network) -> None:
    """Bytes overflow where a network takes [0, 1]; that is found out later."""
    model = foreign_network(weights=1e3 * np.eye(3), elem_type=TensorProto.FLOAT16)

    with pytest.raises(InputError, match="not finite"):
        checked(model, BYTE, output="output")
    checked(model, BYTE, UNIT, output="output")
